// List WAYSCloud's buckets: go run main.go
package main

import (
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

func buckets(url, key string) (string, error) {
	if !word.MatchString(key) {
		return "", fmt.Errorf("WAYSCLOUD_API_KEY is not set, or is no key")
	}
	if !strings.HasPrefix(url, "https://") {
		return "", fmt.Errorf("WAYSCLOUD_API_URL is not https: the key goes over TLS only")
	}
	request, err := http.NewRequest(http.MethodGet, url+"/v1/storage/", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	client := &http.Client{
		Timeout: 30 * time.Second,
		// The key goes nowhere else.
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
		return "", fmt.Errorf("WAYSCloud refused: %d %s", answer.StatusCode, body)
	}
	return string(body), nil
}

func main() {
	log.SetFlags(0)
	url := os.Getenv("WAYSCLOUD_API_URL")
	if url == "" {
		url = "https://api.wayscloud.services"
	}
	listed, err := buckets(url, os.Getenv("WAYSCLOUD_API_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listed)
}
