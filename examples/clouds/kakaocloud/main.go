// List KakaoCloud's projects: go run main.go
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const fresh = 11 * time.Hour // a token lasts for 12, and may end before

type token struct {
	value, user string
	since       time.Time
}

// Session keeps a project token for all goroutines.
type Session struct {
	url, id, secret string
	client          http.Client
	mutex           sync.Mutex
	token           *token
}

// Token returns one that is fresh and is not the refused one; whoever comes meanwhile waits for it.
func (session *Session) Token(refused *token) (*token, error) {
	session.mutex.Lock()
	defer session.mutex.Unlock()
	held := session.token
	if held != nil && held != refused && time.Since(held.since) < fresh {
		return held, nil
	}
	type object map[string]any
	body, err := json.Marshal(object{"auth": object{"identity": object{
		"methods":                []string{"application_credential"},
		"application_credential": object{"id": session.id, "secret": session.secret},
	}}})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, session.url+"/auth/tokens", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	var told struct {
		Token struct{ User struct{ ID string } }
	}
	header, err := session.send(request, http.StatusCreated, &told)
	if err != nil {
		return nil, err
	}
	session.token = &token{header.Get("X-Subject-Token"), told.Token.User.ID, time.Now()}
	return session.token, nil
}

// Projects lists the user's; a token that is refused is replaced once.
func (session *Session) Projects(told any) error {
	var used *token
	for attempt := 0; ; attempt++ {
		next, err := session.Token(used)
		if err != nil {
			return err
		}
		used = next
		request, err := http.NewRequest(http.MethodGet, session.url+"/users/"+used.user+"/projects", nil)
		if err != nil {
			return err
		}
		request.Header.Set("X-Auth-Token", used.value)
		_, err = session.send(request, http.StatusOK, told)
		if refusal, is := err.(refused); !is || refusal.status != http.StatusUnauthorized || attempt > 0 {
			return err
		}
	}
}

type refused struct {
	status int
	body   string
}

func (refusal refused) Error() string {
	return fmt.Sprintf("KakaoCloud refused: %d %s", refusal.status, refusal.body)
}

func (session *Session) send(request *http.Request, status int, told any) (http.Header, error) {
	answer, err := session.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != status {
		return nil, refused{answer.StatusCode, string(body)}
	}
	return answer.Header, json.Unmarshal(body, told)
}

func main() {
	log.SetFlags(0)
	session := &Session{
		url:    os.Getenv("OS_AUTH_URL"),
		id:     os.Getenv("OS_APPLICATION_CREDENTIAL_ID"),
		secret: os.Getenv("OS_APPLICATION_CREDENTIAL_SECRET"),
		client: http.Client{
			Timeout: 30 * time.Second,
			// Secret and token go nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if session.url == "" {
		session.url = "https://iam.kakaocloud.com/identity/v3"
	}
	if session.id == "" || session.secret == "" {
		log.Fatal("OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET are not set")
	}
	if !strings.HasPrefix(session.url, "https://") {
		log.Fatal("OS_AUTH_URL is not https: the secret goes over TLS only")
	}
	var told struct{ Projects []struct{ ID, Name string } }
	if err := session.Projects(&told); err != nil {
		log.Fatal(err)
	}
	for _, project := range told.Projects {
		fmt.Println(project.ID, project.Name)
	}
}
