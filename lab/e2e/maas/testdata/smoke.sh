# The few things that must never break.
set -e
base=https://maas.apps.egret.test out=$(mktemp)
status() { curl -sSk -o "$out" -w '%{http_code}' "$@"; }
case "$(status $base/health)" in 200 | 401 | 404) ;; *) echo health; exit 1 ;; esac
status $base/maas-api/healthz >/dev/null # TLS is enough
case "$(status --json '{}' $base/maas-api/v1/tokens)" in 401 | 403) ;; *) echo "a token for nobody"; exit 1 ;; esac
case "$(status -H "Authorization: Bearer $(oc whoami -t)" $base/v1/keys)" in 401 | 403 | 404) ;; *) echo "/v1/keys"; exit 1 ;; esac
[ "$(status -H "Authorization: Bearer $(oc whoami -t)" --json '{"expiration":"10m"}' $base/maas-api/v1/tokens)" = 201 ]
token=$(jq -r .token "$out")
[ "$(status -H "Authorization: Bearer $token" $base/v1/models)" = 200 ]
jq -e '.data | length > 0 and all(.[]; .id and (.ready | type == "boolean"))' "$out" >/dev/null
url=$(jq -r '[.data[] | select(.url)][0].url' "$out") model=$(jq -r '[.data[] | select(.url)][0].id' "$out")
ask() { curl -sSk -D "$out.head" -o "$out" -H "Authorization: Bearer $token" --json "{\"model\":\"$model\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]$1}" "$url/v1/chat/completions"; }
ask ''
jq -e '.choices[0].message.content' "$out" >/dev/null
ask ',"stream":true'
grep -qi '^content-type: text/event-stream' "$out.head"
grep -q '^data: \[DONE\]' "$out"
ask ',"tool_choice":"required","tools":[{"type":"function","function":{"name":"get_weather","description":"now","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]'
jq -e '.choices[0].message.tool_calls | length > 0' "$out" >/dev/null
rm "$out" "$out.head"
echo passed
