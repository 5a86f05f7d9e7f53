#!/bin/sh
# List KakaoCloud's projects. Secret and token go in on standard input: everybody on the machine can
# read a command's arguments with ps. jq reads and writes the JSON.
set -eu

: "${OS_APPLICATION_CREDENTIAL_ID:?is not set}" "${OS_APPLICATION_CREDENTIAL_SECRET:?is not set}"
url=${OS_AUTH_URL:-https://iam.kakaocloud.com/identity/v3}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

ask() {
    status=$(curl --silent --show-error --max-time 30 --proto =https --tlsv1.2 \
        --output "$folder/body" --dump-header "$folder/headers" --write-out '%{http_code}' "$@")
}

refused() {
    { echo "KakaoCloud refused: $status"; cat "$folder/body"; echo; } >&2
    exit 1
}

exchange() {
    login=$(jq --null-input '{auth: {identity: {
        methods: ["application_credential"], application_credential: {
            id: env.OS_APPLICATION_CREDENTIAL_ID, secret: env.OS_APPLICATION_CREDENTIAL_SECRET}}}}')
    ask --data-binary @- --header 'Content-Type: application/json' "$url/auth/tokens" <<END
$login
END
    [ "$status" = 201 ] || refused
    token=$(tr -d '\r' < "$folder/headers" | sed -n 's/^X-Subject-Token: //Ip')
    user=$(jq --raw-output .token.user.id "$folder/body")
}

projects() {
    ask --header @- "$url/users/$user/projects" <<END
X-Auth-Token: $token
END
}

exchange
projects
# A token may end before its 12 hours: then once more with another.
[ "$status" != 401 ] || { exchange; projects; }
[ "$status" = 200 ] || refused
jq --raw-output '.projects[] | "\(.id) \(.name)"' "$folder/body"
