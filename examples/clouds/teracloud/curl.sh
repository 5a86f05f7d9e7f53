#!/bin/sh
# Ask TeraCLOUD for the user's node, then for the files there. Credentials go in on standard input:
# everybody on the machine can read a command's arguments with ps. jq reads the JSON.
set -eu

: "${TERACLOUD_USER:?is not set}" "${TERACLOUD_PASSWORD:?is not set}" "${TERACLOUD_API_KEY:?is not set}"
url=${TERACLOUD_URL:-https://api.teracloud.jp}
basic=$(printf '%s:%s' "$TERACLOUD_USER" "$TERACLOUD_PASSWORD" | base64 | tr -d '\n')

ask() {
    # A redirect is an error: credentials go nowhere else.
    curl --header @- --silent --show-error --fail-with-body --max-time 30 \
        --proto =https --tlsv1.2 --location --max-redirs 0 "$@"
}

# The REST API takes both credentials …
account=$(
    ask "$url/v2/api/ba/user" <<END
Authorization: Basic $basic
X-TeraCLOUD-API-KEY: $TERACLOUD_API_KEY
END
) || { echo "$account" >&2; exit 1; }

# The password goes to the API's own host, and below the cloud's domains.
node=$(echo "$account" | jq --exit-status --raw-output .node)
host=${node%%:*} own=${url#https://} own=${own%%[/:]*}
case $node in *[!a-z0-9.:-]*) host= ;; esac
case $host in
"$own" | *.teracloud.jp | *.infini-cloud.net) ;;
*) echo "$node is none of TeraCLOUD's hosts: the password does not go there" >&2; exit 1 ;;
esac

# … and WebDAV the user's alone.
ask --request PROPFIND --header 'Depth: 0' --output /dev/null "https://$node/dav/" <<END
Authorization: Basic $basic
END
echo "$account" | jq --raw-output '"\(.user) on \(.node), \(.capacity) GB"'
