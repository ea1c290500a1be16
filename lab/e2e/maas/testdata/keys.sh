# Tokens come and go, keys are listed until they have expired and after.
set -e
api="https://maas.apps.egret.test/maas-api/v1" out=$(mktemp)
ask() { # METHOD PATH TOKEN STATUS [BODY]
  code=$(curl -sSk -o "$out" -w '%{http_code}' -X "$1" -H "Authorization: Bearer $3" ${5:+--json "$5"} "$api$2")
  [ "$code" = "$4" ] || { echo "$1 $2: $code $(cat "$out"), want $4"; exit 1; }
}
has() { jq -e "$1" "$out" >/dev/null || { echo "not $1: $(cat "$out")"; exit 1; }; }
me=$(oc whoami -t)
ask POST /tokens "$me" 201 '{"expiration":"4h"}'
token=$(jq -r .token "$out") id=$(jq -r .jti "$out")
ask GET /models "$token" 200
ask GET /api-keys "$me" 200
has "all(.[]; .id != \"$id\")"
ask POST /api-keys "$me" 400 '{"expiration":"4h"}'
ask POST /api-keys "$me" 201 '{"name":"mine","description":"for tests","expiration":"24h"}'
has '.token and .expiration and .expiresAt and .jti and .name and .description'
key=$(jq -r .token "$out") id=$(jq -r .jti "$out")
ask GET /api-keys "$me" 200
has "any(.[]; .id == \"$id\" and .name and .status == \"active\" and .creationDate and .expirationDate)"
ask GET "/api-keys/$id" "$me" 200
ask GET /models "$key" 200
ask DELETE /tokens "$me" 204
ask GET /api-keys "$me" 200
has 'length > 0 and all(.[]; .status == "expired")'
rm "$out"
echo passed
