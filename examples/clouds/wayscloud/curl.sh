#!/bin/sh
# List WAYSCloud's buckets. The key goes in on standard input: everybody on the machine can read a
# command's arguments with ps.
set -eu

: "${WAYSCLOUD_API_KEY:?is not set}"
url=${WAYSCLOUD_API_URL:-https://api.wayscloud.services}

# A redirect is an error: the key goes nowhere else.
printf 'Authorization: Bearer %s\n' "$WAYSCLOUD_API_KEY" |
    curl --header @- --silent --show-error --fail-with-body --max-time 30 \
        --proto =https --tlsv1.2 --location --max-redirs 0 "$url/v1/storage/"
