#!/usr/bin/env bash
# Has a slow call made as a job, waits, and prints its answer:  [API_KEY=KEY] job.sh URL [BODY]
set -euo pipefail
url=$1
gateway=$(sed -E 's|^([a-z]+://[^/]+).*|\1|' <<< "$url")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "${API_KEY:+X-API-Key: $API_KEY}" > "$folder/credentials"

# Prints the status; head and body of the answer are files.
ask() {
    curl --silent --show-error --header "@$folder/credentials" --dump-header "$folder/head" \
        --output "$folder/body" --write-out '%{http_code}' "$@"
}
field() {
    sed -n "s/^$1: //p" "$folder/head" | tail -n 1 | tr -d '\r'
}
state() {
    sed -n 's/.*"state":"\([a-z]*\)".*/\1/p' "$folder/body"
}

# 429, 503 and a lost connection are tried again: by its key it is still one call.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
status=$(ask --retry 5 --retry-connrefused -H "Idempotency-Key: $key" -H "Prefer: respond-async, wait=5" \
    ${2+--data-binary "$2"} "$url")

# With a Job-Id it is the upstream's own answer, which came within those 5 seconds.
if [ "$status" = 202 ] && [ -z "$(field Job-Id)" ]; then
    job=$gateway$(field Location)
    while ask --retry 5 --retry-connrefused -H "Prefer: wait=20" "$job" > "$folder/status"; do
        case $(state) in queued | running) sleep "$(field Retry-After)" ;; *) break ;; esac
    done
    status=$(ask "$job/result")
fi
cat "$folder/body"
[ "$status" -lt 400 ]
