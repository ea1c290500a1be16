package sim
import ("testing";"net/http/httptest";"strings")
func TestSmoke(t *testing.T){
 c,err:=Parse([]string{"--model","m","--seed","1","--mode","random"}); if err!=nil{t.Fatal(err)}
 s,err:=New(c); if err!=nil{t.Fatal(err)}
 do:=func(m,p,b string){ w:=httptest.NewRecorder(); s.Handler().ServeHTTP(w, httptest.NewRequest(m,p,strings.NewReader(b))); t.Log(p,w.Code,w.Header(),"\n"+w.Body.String())}
 do("POST","/v1/chat/completions",`{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":50}`)
 do("POST","/v1/chat/completions",`{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":4,"stream":true,"stream_options":{"include_usage":true},"logprobs":true}`)
 do("POST","/v1/completions",`{"model":"m","prompt":"Hello","max_tokens":7,"logprobs":2}`)
 do("POST","/v1/chat/completions",`{"model":"m","messages":[{"role":"user","content":"Hello"}],"stream":true,"tool_choice":"required","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"},"n":{"type":"array","items":{"type":"integer"}}},"required":["a","n"]}}}]}`)
 do("GET","/v1/models","")
 do("GET","/metrics","")
 t.Log(Help())
}
