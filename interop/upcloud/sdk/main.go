// Calls UpCloud's Go SDK makes of the account API; ends with status 1 at the first surprise.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	"github.com/UpCloudLtd/upcloud-go-api/v8/upcloud"
	"github.com/UpCloudLtd/upcloud-go-api/v8/upcloud/client"
	"github.com/UpCloudLtd/upcloud-go-api/v8/upcloud/request"
	"github.com/UpCloudLtd/upcloud-go-api/v8/upcloud/service"
)

func connect(token string) *service.Service {
	base := client.WithBaseURL(os.Getenv("BASE_URL"))
	return service.New(client.New("", "", client.WithBearerAuth(token), base))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func wantCode(err error, code string) {
	var problem *upcloud.Problem
	if !errors.As(err, &problem) || problem.ErrorCode() != code {
		log.Fatalf("not %s: %v", code, err)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	own := connect(os.Getenv("TOKEN"))

	account, err := own.GetAccount(ctx)
	must(err)
	if account.UserName == "" {
		log.Fatal("no username")
	}

	wanted := request.CreateTokenRequest{
		Name:            "terraform",
		ExpiresAt:       time.Now().Add(time.Hour).UTC(),
		AllowedIPRanges: []string{"127.0.0.1", "::/0", "2.3.4.0/24"},
	}
	made, err := own.CreateToken(ctx, &wanted)
	must(err)
	same := made.ExpiresAt.Format(time.RFC3339) == wanted.ExpiresAt.Format(time.RFC3339)
	if !same || !slices.Equal(made.AllowedIPRanges, wanted.AllowedIPRanges) {
		log.Fatalf("made another: %+v", made)
	}
	shown, err := own.GetTokenDetails(ctx, &request.GetTokenDetailsRequest{ID: made.ID})
	must(err)
	if shown.Name != wanted.Name || shown.APIToken != "" {
		log.Fatalf("shows another: %s", shown.Name)
	}
	tokens, err := own.GetTokens(ctx, &request.GetTokensRequest{})
	must(err)
	if len(*tokens) < 2 {
		log.Fatal("lists too few")
	}

	theirs := connect(made.APIToken)
	_, err = theirs.GetAccount(ctx)
	must(err)
	must(own.DeleteToken(ctx, &request.DeleteTokenRequest{ID: made.ID}))
	_, err = theirs.GetAccount(ctx)
	wantCode(err, upcloud.ErrCodeAuthenticationFailed)
	_, err = own.GetTokenDetails(ctx, &request.GetTokenDetailsRequest{ID: made.ID})
	wantCode(err, upcloud.ErrCodeResourceNotFound)
	fmt.Println("done")
}
