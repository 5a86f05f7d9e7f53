// Ask TeraCLOUD for the user's node, then for the files there: go run main.go
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

var (
	apiKey  = regexp.MustCompile(`^[0-9A-F]{32}$`)
	host    = regexp.MustCompile(`^([a-z0-9.-]+)(:[0-9]+)?$`)
	domains = regexp.MustCompile(`\.(teracloud\.jp|infini-cloud\.net)$`)
)

var client = http.Client{
	Timeout: 30 * time.Second,
	// The password goes nowhere else.
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func ask(method, address, header, value string, expected int) ([]byte, error) {
	request, err := http.NewRequest(method, address, nil)
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(os.Getenv("TERACLOUD_USER"), os.Getenv("TERACLOUD_PASSWORD"))
	request.Header.Set(header, value)
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusAccepted {
		return nil, fmt.Errorf("The account is new, and its node is not ready yet: try again later")
	}
	if answer.StatusCode != expected {
		return nil, fmt.Errorf("TeraCLOUD refused: %d %s", answer.StatusCode, body)
	}
	return body, nil
}

// The password goes to the API's own host, and below the cloud's domains.
func own(node string, api *url.URL) bool {
	found := host.FindStringSubmatch(node)
	return found != nil && (found[1] == api.Hostname() || domains.MatchString(found[1]))
}

func run() error {
	address := os.Getenv("TERACLOUD_URL")
	if address == "" {
		address = "https://api.teracloud.jp"
	}
	api, err := url.Parse(address)
	if err != nil {
		return err
	}
	if os.Getenv("TERACLOUD_USER") == "" || os.Getenv("TERACLOUD_PASSWORD") == "" {
		return fmt.Errorf("TERACLOUD_USER and TERACLOUD_PASSWORD are not set")
	}
	key := os.Getenv("TERACLOUD_API_KEY")
	if !apiKey.MatchString(key) {
		return fmt.Errorf("TERACLOUD_API_KEY is not set, or is not 32 digits of 0-9 and A-F")
	}
	if !strings.HasPrefix(address, "https://") {
		return fmt.Errorf("TERACLOUD_URL is not https: the password goes over TLS only")
	}
	// The REST API takes both credentials …
	body, err := ask(http.MethodGet, address+"/v2/api/ba/user", "X-TeraCLOUD-API-KEY", key, http.StatusOK)
	if err != nil {
		return err
	}
	var account struct {
		User, Node string
		Capacity   int
	}
	if err := json.Unmarshal(body, &account); err != nil {
		return err
	}
	if !own(account.Node, api) {
		return fmt.Errorf("%s is none of TeraCLOUD's hosts: the password does not go there", account.Node)
	}
	// … and WebDAV the user's alone.
	_, err = ask("PROPFIND", "https://"+account.Node+"/dav/", "Depth", "0", http.StatusMultiStatus)
	if err != nil {
		return err
	}
	fmt.Printf("%s on %s, %d GB\n", account.User, account.Node, account.Capacity)
	return nil
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
