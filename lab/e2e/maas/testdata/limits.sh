# Every model answers, and the free tier's budget is met within 25 calls.
set -e
host=maas.apps.egret.test out=$(mktemp)
[ -n "$(kubectl get gateways -A -l app.kubernetes.io/instance=maas-default-gateway -o name)" ]
code=$(curl -sSk -o "$out" -w '%{http_code}' -H "Authorization: Bearer $(oc whoami -t)" --json '{"expiration":"1h"}' "https://$host/maas-api/v1/tokens")
[ "$code" = 201 ]
token=$(jq -r .token "$out")
code=$(curl -sSk -o "$out" -w '%{http_code}' -H "Authorization: Bearer $token" "https://$host/maas-api/v1/models")
[ "$code" = 200 ]
url=$(jq -r '[.data[] | select(.url)][0].url' "$out") model=$(jq -r '[.data[] | select(.url)][0].id' "$out")
chat() {
  curl -sSk -o "$out" -w '%{http_code}' -H "Authorization: Bearer $token" \
    --json "{\"model\":\"$model\",\"messages\":[{\"role\":\"user\",\"content\":\"$1\"}],\"max_tokens\":30}" "$url/v1/chat/completions"
}
for prompt in "Hello." "What is a gateway?" "Count to three."; do [ "$(chat "$prompt")" = 200 ]; done
for n in $(seq 25); do
  code=$(chat "Tell me about the sea.")
  case "$code" in 200) ;; 429) echo "429 after $n calls"; rm "$out"; exit 0 ;; *) echo "call $n: $code"; exit 1 ;; esac
done
echo "no limit within 25 calls"
exit 1
