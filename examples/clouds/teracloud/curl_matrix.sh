#!/bin/sh
# Ask TeraCLOUD for the user's capacity, the API key in the path as a matrix parameter. The address
# goes in on standard input as well: it holds the key.
set -eu

: "${TERACLOUD_USER:?is not set}" "${TERACLOUD_PASSWORD:?is not set}" "${TERACLOUD_API_KEY:?is not set}"
url=${TERACLOUD_URL:-https://api.teracloud.jp}
basic=$(printf '%s:%s' "$TERACLOUD_USER" "$TERACLOUD_PASSWORD" | base64 | tr -d '\n')

# A redirect is an error: credentials go nowhere else.
curl --config - --silent --show-error --fail-with-body --max-time 30 \
    --proto =https --tlsv1.2 --location --max-redirs 0 <<END
header = "Authorization: Basic $basic"
url = "$url/v2/api/ba/dataset/(capacity);api_key=$TERACLOUD_API_KEY"
END
