#!/bin/sh
# Ask UpCloud whose token this is. It goes in on standard input: everybody on the machine can read a
# command's arguments with ps.
set -eu

: "${UPCLOUD_TOKEN:?is not set}"
url=${UPCLOUD_DEBUG_API_BASE_URL:-https://api.upcloud.com}

# A redirect is an error: the token goes nowhere else.
printf 'Authorization: Bearer %s\n' "$UPCLOUD_TOKEN" |
    curl --header @- --silent --show-error --fail-with-body --max-time 30 \
        --proto =https --tlsv1.2 --location --max-redirs 0 "$url/1.3/account"
