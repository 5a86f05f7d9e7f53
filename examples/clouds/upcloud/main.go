// Ask UpCloud whose token this is: go run main.go
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

var word = regexp.MustCompile(`^[!-~]+$`)

func username(url, token string) (string, error) {
	if !word.MatchString(token) {
		return "", fmt.Errorf("UPCLOUD_TOKEN is not set, or is no token")
	}
	if !strings.HasPrefix(url, "https://") {
		return "", fmt.Errorf("UPCLOUD_DEBUG_API_BASE_URL is not https: the token goes over TLS only")
	}
	request, err := http.NewRequest(http.MethodGet, url+"/1.3/account", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{
		Timeout: 30 * time.Second,
		// The token goes nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("UpCloud refused: %d %s", answer.StatusCode, body)
	}
	var told struct{ Account struct{ Username string } }
	if err := json.Unmarshal(body, &told); err != nil {
		return "", err
	}
	return told.Account.Username, nil
}

func main() {
	log.SetFlags(0)
	url := os.Getenv("UPCLOUD_DEBUG_API_BASE_URL")
	if url == "" {
		url = "https://api.upcloud.com"
	}
	name, err := username(url, os.Getenv("UPCLOUD_TOKEN"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name)
}
