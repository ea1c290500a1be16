package fake

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// streams is how each vendor streams: the request, what its good stream ends
// with, and how it says that it failed.
var streams = []struct {
	call
	end, failed string
}{
	{call{"openai chat", openAIOf, "", "/v1/chat/completions", bearerKey + js, `{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"one two three"}]}`, 200, ""}, "data: [DONE]\n\n", `data: {"error":{`},
	{call{"openai responses", openAIOf, "", "/v1/responses", bearerKey + js, `{"model":"gpt-4o","stream":true,"input":"one two three"}`, 200, ""}, "event: response.completed\n", "event: error\n"},
	{call{"azure", azureOf, "", azurePath + "?api-version=2024-10-21", "Api-Key: KEY\n" + js, `{"stream":true,"messages":[{"role":"user","content":"one two three"}]}`, 200, ""}, "data: [DONE]\n\n", `data: {"error":{`},
	{call{"anthropic", anthropicOf, "", "/v1/messages", claudeKey + js, `{"model":"claude-opus-4-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"one two three"}]}`, 200, ""}, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", `"overloaded_error"`},
	{call{"gemini", geminiOf, "", "/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse", geminiKey + js, `{"contents":[{"parts":[{"text":"one two three"}]}]}`, 200, ""}, `"finishReason":"STOP"`, `"status":"UNAVAILABLE"`},
	{call{"bedrock", bedrockOf, "", bedrock + "-stream", bearerKey + js, `{"messages":[{"role":"user","content":[{"text":"one two three"}]}]}`, 200, ""}, "metadata", "modelStreamErrorException"},
}

func TestBreaks(t *testing.T) {
	w := New(t)
	client := w.HTTP()
	for _, s := range streams {
		play := func(f Fault) (body string, err error) {
			v := s.vendor(w)
			v.Next(f)
			response := open(t, client, v, s.call)
			defer response.Body.Close()
			data, err := io.ReadAll(response.Body)
			return string(data), err
		}
		t.Run(s.name, func(t *testing.T) {
			good, err := play(Fault{})
			if err != nil || !strings.Contains(good, s.end) {
				t.Fatalf("%v: %s", err, good)
			}
			for _, word := range []string{"one", " two", " three"} {
				if !strings.Contains(good, `"`+word+`"`) {
					t.Errorf("no token %q in %s", word, good)
				}
			}
			for _, after := range []int{1, 99} {
				if got, err := play(Fault{After: after, Then: Cut}); err == nil || strings.Contains(got, s.end) || !strings.Contains(got, "one") {
					t.Errorf("cut after %d: %v: %s", after, err, got)
				}
				if got, err := play(Fault{After: after, Then: End}); err != nil || strings.Contains(got, s.end) || !strings.Contains(got, "one") {
					t.Errorf("end after %d: %v: %s", after, err, got)
				}
				if got, err := play(Fault{After: after, Then: Fail}); err != nil || strings.Contains(got, s.end) || !strings.Contains(got, s.failed) {
					t.Errorf("fail after %d: %v: %s", after, err, got)
				}
			}
			if got, err := play(Fault{After: 1, Then: Garble}); err != nil || !strings.Contains(got, s.end) || !strings.Contains(got, `"choi`) {
				t.Errorf("garble: %v: %s", err, got)
			}
		})
	}
}

func TestStall(t *testing.T) {
	w := New(t)
	s := streams[0]
	hold := make(chan struct{})
	w.OpenAI.Next(Fault{After: 2, Then: Stall, Hold: hold})
	response := open(t, w.HTTP(), w.OpenAI, s.call)
	defer response.Body.Close()
	r := bufio.NewReader(response.Body)
	until := func(word string) {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%v before %s", err, word)
			}
			if strings.Contains(line, word) {
				return
			}
		}
	}
	until(" two")
	close(hold)
	until("[DONE]")
}

func TestPace(t *testing.T) {
	w := New(t)
	pace := make(chan struct{})
	w.Anthropic.Next(Fault{Pace: pace})
	response := open(t, w.HTTP(), w.Anthropic, streams[3].call)
	defer response.Body.Close()
	for range 3 { // each is taken only when a token is due
		pace <- struct{}{}
	}
	if data, err := io.ReadAll(response.Body); err != nil || !bytes.Contains(data, []byte("message_stop")) {
		t.Errorf("%v: %s", err, data)
	}
}

func TestStatus(t *testing.T) {
	w := New(t)
	client := w.HTTP()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	good := map[string]call{}
	for _, c := range calls {
		if v := c.vendor(w).Name; c.status == 200 && good[v].name == "" {
			good[v] = c
		}
	}
	f := func(vendor string, fault Fault, status int, want string) {
		t.Helper()
		c := good[vendor]
		v := c.vendor(w)
		v.Next(fault)
		response, body := send(t, client, v, c)
		if response.StatusCode != status || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %d with %s", vendor, response.StatusCode, body, status, want)
		}
		if got := response.Header.Get("Retry-After"); got != fault.RetryAfter {
			t.Errorf("%s: Retry-After %q, want %q", vendor, got, fault.RetryAfter)
		}
		if got := response.Header.Get("Location"); got != fault.Redirect {
			t.Errorf("%s: Location %q, want %q", vendor, got, fault.Redirect)
		}
	}
	f("openai", Fault{Status: 429, RetryAfter: "7"}, 429, `"code":"rate_limit_exceeded"`)
	f("openai", Fault{Status: 429}, 429, `"type":"requests"`)
	f("openai", Fault{Status: 500}, 500, `"type":"server_error"`)
	f("anthropic", Fault{Status: 429}, 429, `"type":"rate_limit_error"`)
	f("anthropic", Fault{Status: 529}, 529, `"type":"overloaded_error"`)
	f("azure", Fault{Status: 429, RetryAfter: "1"}, 429, `"code":"429"`)
	f("gemini", Fault{Status: 429}, 429, `"status":"RESOURCE_EXHAUSTED"`)
	f("gemini", Fault{Status: 503}, 503, `"status":"UNAVAILABLE"`)
	f("bedrock", Fault{Status: 429}, 429, `{"message":`)
	f("metadata", Fault{Status: 503}, 503, `503`)
	f("openai", Fault{Redirect: "https://elsewhere.example/v1"}, 302, "")
	f("openai", Fault{NoUsage: true}, 200, `"system_fingerprint":"fp_lab"}`)
	f("openai", Fault{Usage: &Usage{Input: 1000, Output: -1}}, 200, `"prompt_tokens":1000`)
	f("anthropic", Fault{Usage: &Usage{Input: 1000, Output: 1}}, 200, `"input_tokens":1000,"output_tokens":1`)
	f("openai", Fault{Then: Garble}, 200, `"choices":[`)
}

func TestFaultsAreForThoseWhoAreKnown(t *testing.T) {
	w := New(t)
	w.OpenAI.Next(Fault{Status: 500})
	known := calls[0]
	stranger := known
	stranger.header = js
	if response, _ := send(t, w.HTTP(), w.OpenAI, stranger); response.StatusCode != 401 {
		t.Errorf("a stranger got %d", response.StatusCode)
	}
	if response, _ := send(t, w.HTTP(), w.OpenAI, known); response.StatusCode != 500 {
		t.Errorf("the known one got %d", response.StatusCode)
	}
	if response, _ := send(t, w.HTTP(), w.OpenAI, known); response.StatusCode != 200 {
		t.Errorf("the next one got %d", response.StatusCode)
	}
}

func TestCutOfAWholeAnswer(t *testing.T) {
	w := New(t)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		client := w.HTTP()
		client.Transport.(*http.Transport).ForceAttemptHTTP2 = proto == "HTTP/2.0"
		w.OpenAI.Next(Fault{Then: Cut})
		response := open(t, client, w.OpenAI, calls[0])
		defer response.Body.Close()
		if data, err := io.ReadAll(response.Body); err == nil || len(data) == 0 || response.Proto != proto {
			t.Errorf("%s: %d bytes over %s, %v", proto, len(data), response.Proto, err)
		}
	}
}

func TestControl(t *testing.T) {
	w := New(t)
	control := func(method, path, body string) string {
		t.Helper()
		r, err := http.NewRequest(method, path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer := &recorder{header: http.Header{}}
		w.Control().ServeHTTP(answer, r)
		return answer.body.String()
	}
	control("POST", "/faults?vendor=openai", `[{"status":500}]`)
	if response, _ := send(t, w.HTTP(), w.OpenAI, calls[0]); response.StatusCode != 500 {
		t.Errorf("status %d, want that of the fault", response.StatusCode)
	}
	if got := control("GET", "/journal?vendor=openai", ""); !strings.Contains(got, `"via":"authorization"`) || !strings.Contains(got, `"status":500`) {
		t.Errorf("journal: %s", got)
	}
	control("DELETE", "/journal?vendor=openai", "")
	if n := len(w.OpenAI.Journal()); n != 0 {
		t.Errorf("%d entries after forgetting", n)
	}
	if got := control("PUT", "/faults?vendor=nobody", "{}"); got != "no such vendor\n" {
		t.Errorf("%q", got)
	}
}

type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorder) WriteHeader(int)             {}
