# Is MaaS deployed as it should be? Seventeen looks, from the API's resources to
# a limit that is met; exit status 1 when one of them fails.
failed=0 warnings=0
pass() { echo "pass: $*"; }
warn() { echo "warning: $*"; warnings=$((warnings + 1)); }
fail() { echo "FAILED: $*"; failed=$((failed + 1)); }
running() { kubectl get pods -n "$1" ${2:+-l "$2"} --field-selector=status.phase=Running -o name 2>/dev/null | wc -l; }
condition() { kubectl get "$1" "$2" -n "$3" -o jsonpath="{.status.conditions[?(@.type=='$4')].status}" 2>/dev/null; }
calls=10 question='{"role":"user","content":"Hello, what is the weather like today?"}'

kubectl api-resources | grep -q route.openshift.io || { echo "FAILED: no OpenShift"; exit 1; } # 1
[ "$(running opendatahub app.kubernetes.io/name=maas-api)" -ge 1 ] && pass API runs || fail no pod of maas-api # 2
[ "$(running kuadrant-system)" -ge 1 ] && pass policies run || fail no pod in kuadrant-system # 3
[ $(($(running opendatahub) + $(running redhat-ods-applications))) -ge 1 ] && pass platform runs || warn no platform # 4
[ "$(kubectl get llminferenceservices -n llm -o name | wc -l)" -ge 1 ] && pass a model || warn no model in llm # 5
gateway="gateway maas-default-gateway openshift-ingress"
case "$(condition $gateway Accepted) $(condition $gateway Programmed)" in # 6
"True True") pass gateway ;; "True "*) warn gateway is not programmed ;; *) fail no gateway ;;
esac
route="$(kubectl get httproute maas-api-route -n opendatahub -o jsonpath="{.status.parents[*].conditions[?(@.type=='Accepted')].status}")" \
  || fail no route # 7
case "$route" in *True*) pass route ;; *) warn route is not accepted ;; esac
host="$MAAS_GATEWAY_HOST" # 8
for path in '[?(@.protocol=="HTTPS")]' '[0]'; do
  host="${host:-$(kubectl get gateway maas-default-gateway -n openshift-ingress -o jsonpath="{.spec.listeners$path.hostname}")}"
done
host="${host:-maas.$(kubectl get ingresses.config.openshift.io cluster -o jsonpath='{.spec.domain}')}"
[ "$host" != maas. ] && pass "host $host" || fail no host
policies() { # 9, 10
  [ -n "$(kubectl get "$1" -A -o name)" ] || { fail "no $1"; return; }
  [ "$(condition "$1" "$2" openshift-ingress Accepted)" = True ] && pass "$2" || warn "$2 is not accepted"
}
policies authpolicies gateway-auth-policy
policies tokenratelimitpolicies gateway-token-rate-limits
status() { curl -sSk -o "$out" -w '%{http_code}' "$@"; }
out=$(mktemp)
code=$(status -H "Authorization: Bearer $(oc whoami -t)" --json '{"expiration":"10m"}' "https://$host/maas-api/v1/tokens") # 11
token=$(jq -r .token "$out")
case "$code" in 20[01]) [ "$token" != null ] && pass token || fail no token in the answer ;; *) fail "mint: $code" ;; esac
subject=$(echo "$token" | cut -d. -f2 | tr '_-' '/+' | base64 -d 2>/dev/null | grep -o 'tier-[^:]*:') # 12
[ -n "$subject" ] && pass "tier $subject" || warn no tier in the token
code=$(status -H "Authorization: Bearer $token" "https://$host/maas-api/v1/models") # 13
[ "$code" = 200 ] && [ "$(jq '.data | length' "$out")" -ge 1 ] && pass models || warn "models: $code"
url=$(jq -r '[.data[] | select(.url)][0].url' "$out") model=$(jq -r '[.data[] | select(.url)][0].id' "$out") # 14
[ "$url" != null ] && pass "model $model at $url" || warn no model with an address
chat() { status "$@" --json "{\"model\":\"$model\",\"messages\":[$question],\"max_tokens\":50}" "$url/v1/chat/completions"; }
code=$(chat -H "Authorization: Bearer $token") # 15
case "$code" in 200) pass chat ;; 429) warn chat: the limit is met ;; *) fail "chat: $code" ;; esac
limited=0 odd=0 # 16
for _ in $(seq $calls); do
  case "$(chat -H "Authorization: Bearer $token")" in 200) ;; 429) limited=$((limited + 1)) ;; *) odd=$((odd + 1)) ;; esac
done
[ $limited -ge 1 ] && [ $odd = 0 ] && pass "$limited of $calls calls were limited" || fail "$limited of $calls calls were limited, $odd failed"
code=$(chat) # 17
case "$code" in 401 | 403) pass nobody is refused ;; *) warn "nobody: $code" ;; esac
rm "$out"
echo "failed $failed, warnings $warnings"
[ $failed = 0 ]
