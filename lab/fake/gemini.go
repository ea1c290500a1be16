package fake

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

// CloudScope is the scope a Google token for Gemini or Vertex AI must have.
const CloudScope = "https://www.googleapis.com/auth/cloud-platform"

const (
	geminiHost = "generativelanguage.googleapis.com"
	vertexHost = "us-central1-aiplatform.googleapis.com"
)

func (w *World) gemini() *Vendor {
	v := w.vendor("gemini", googleError, geminiHost, vertexHost, "aiplatform.googleapis.com").withKey("AIzaSyLab" + secret())
	v.models = []string{"gemini-2.0-flash", "gemini-2.5-pro"}
	for _, version := range []string{"v1", "v1beta"} {
		v.handle("POST "+geminiHost+"/"+version+"/models/{call}", gemini((*exchange).generate))
		v.handle("GET "+geminiHost+"/"+version+"/models", gemini(func(x *exchange) error {
			if err := x.trouble(); err != nil {
				return err
			}
			list := []object{}
			for _, id := range v.catalog() {
				list = append(list, object{"name": "models/" + id, "version": "1", "displayName": id, "supportedGenerationMethods": []string{"generateContent", "countTokens"}})
			}
			return x.reply(object{"models": list})
		}))
	}
	for _, host := range []string{vertexHost, "aiplatform.googleapis.com"} {
		for _, version := range []string{"v1", "v1beta1"} {
			v.handle("POST "+host+"/"+version+"/projects/{project}/locations/{location}/publishers/google/models/{call}", vertex((*exchange).generate))
		}
	}
	return v
}

// gemini asks for an API key, in header or query, or for a token.
func gemini(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		key := x.r.Header.Get("X-Goog-Api-Key")
		if key == "" {
			key = x.r.URL.Query().Get("key")
		}
		switch {
		case key != "":
			x.presents(key, "")
			if !x.v.accepts(key) {
				return &refusal{Status: http.StatusBadRequest, Message: "API key not valid. Please pass a valid API key.", Code: "API_KEY_INVALID"}
			}
			x.presents(key, "api key")
			return then(x)
		case x.bearer() == "":
			return &refusal{Status: http.StatusForbidden, Message: "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API."}
		}
		return vertex(then)(x)
	}
}

// vertex asks for a token of Google's with the cloud-platform scope.
func vertex(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		token := x.bearer()
		x.presents(token, "")
		grant, ok := x.v.w.tokens.find(token, x.v.w.now())
		if !ok {
			return &refusal{Status: http.StatusUnauthorized, Message: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."}
		}
		if grant.scope != CloudScope {
			return &refusal{Status: http.StatusForbidden, Message: "Request had insufficient authentication scopes.", Code: "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
		}
		x.presents(token, grant.subject)
		return then(x)
	}
}

// generate is what comes after the colon of a model's name.
func (x *exchange) generate() error {
	model, method, _ := strings.Cut(x.r.PathValue("call"), ":")
	shape := map[string]string{"generateContent": "generate", "streamGenerateContent": "generate", "countTokens": "count"}[method]
	if shape == "" {
		return &refusal{Status: http.StatusNotFound, Message: "Method " + method + " not found."}
	}
	if !x.v.offers(model) {
		return &refusal{Status: http.StatusNotFound, Message: "models/" + model + " is not found for API version v1beta, or is not supported for " + method + "."}
	}
	if x.media("application/json") != nil {
		return &refusal{Status: http.StatusBadRequest, Message: "Invalid content type: want application/json."}
	}
	if bad := x.check(shape); bad != nil {
		return &refusal{Status: http.StatusBadRequest, Message: geminiWords(bad)}
	}
	if err := x.trouble(); err != nil {
		return err
	}
	body := gjson.ParseBytes(x.body)
	if inner := body.Get("generateContentRequest"); inner.Exists() {
		body = inner
	}
	a := geminiQuestion(body).answer()
	switch {
	case shape == "count":
		used, _ := x.usage(a.in, 0)
		return x.reply(object{"totalTokens": used.Input})
	case method == "generateContent":
		return x.reply(x.generated(model, a, a.parts(), true))
	case x.r.URL.Query().Get("alt") != "sse":
		return x.reply([]object{x.generated(model, a, a.parts(), true)})
	}
	return x.generateStream(model, a)
}

func geminiWords(bad *wrong) string {
	switch bad.problem {
	case "unknown":
		at, name := "", bad.at
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			at, name = " at '"+name[:i]+"'", name[i+1:]
		}
		return fmt.Sprintf("Invalid JSON payload received. Unknown name %q%s: Cannot find field.", name, at)
	case "missing":
		return "* GenerateContentRequest." + bad.at + ": " + bad.at + " is not specified"
	case "type":
		return fmt.Sprintf("Invalid value at '%s' (%s), %s", bad.at, bad.want, bad.got)
	}
	return "Invalid JSON payload received. " + bad.got
}

func geminiQuestion(body gjson.Result) question {
	q := question{most: int(body.Get("generationConfig.maxOutputTokens").Int())}
	for _, part := range body.Get("systemInstruction.parts").Array() {
		q.aside(part.Get("text").Str)
	}
	for _, content := range body.Get("contents").Array() {
		q.heard = false
		for _, part := range content.Get("parts").Array() {
			if result := part.Get("functionResponse"); result.Exists() {
				q.heard = true
				q.say(result.Get("response").Raw)
			}
			if text := part.Get("text"); text.Exists() {
				q.say(text.Str)
			}
		}
	}
	for _, t := range body.Get("tools").Array() {
		for _, f := range t.Get("functionDeclarations").Array() {
			schema := f.Get("parameters")
			if !schema.Exists() {
				schema = f.Get("parametersJsonSchema")
			}
			q.tools = append(q.tools, tool{name: f.Get("name").Str, schema: schema})
		}
	}
	calling := body.Get("toolConfig.functionCallingConfig")
	q.quiet, q.pick = calling.Get("mode").Str == "NONE", calling.Get("allowedFunctionNames.0").Str
	return q
}

func (a answer) parts() []object {
	if a.call != "" {
		return []object{{"functionCall": object{"name": a.call, "args": a.parsed()}}}
	}
	return []object{{"text": a.text()}}
}

// generated is an answer, or one piece of it.
func (x *exchange) generated(model string, a answer, parts []object, last bool) object {
	candidate := object{"content": object{"role": "model", "parts": parts}, "index": 0}
	if last {
		candidate["finishReason"] = "STOP"
		if a.cut {
			candidate["finishReason"] = "MAX_TOKENS"
		}
	}
	out := object{"candidates": []object{candidate}, "modelVersion": model, "responseId": "lab"}
	if used, told := x.usage(a.in, a.out); told {
		counts := object{"promptTokenCount": used.Input, "totalTokenCount": used.Input}
		if last {
			counts["candidatesTokenCount"], counts["totalTokenCount"] = used.Output, used.Input+used.Output
		}
		out["usageMetadata"] = counts
	}
	return out
}

// generateStream sends Google's events, which have no names and end in CRLF.
func (x *exchange) generateStream(model string, a answer) error {
	crlf := func(_ string, payload []byte) []byte { return fmt.Appendf(nil, "data: %s\r\n\r\n", payload) }
	s := x.stream("text/event-stream", crlf, func(s *stream) error {
		return s.event("", object{"error": object{"code": 503, "message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"}})
	})
	if a.call != "" {
		if err := s.token("", x.generated(model, a, a.parts(), true)); err != nil {
			return err
		}
		return s.tail()
	}
	for i, word := range a.words {
		last := i == len(a.words)-1
		if last && s.x.fault.Then != "" && s.x.fault.After >= len(a.words) {
			last = false // what breaks at the end keeps the end to itself
		}
		if err := s.token("", x.generated(model, a, []object{{"text": word}}, last)); err != nil {
			return err
		}
	}
	return s.tail()
}

// googleError writes {"error":{"code","message","status"}}.
func googleError(x *exchange, r *refusal) {
	status := map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 405: "UNIMPLEMENTED",
		413: "INVALID_ARGUMENT", 415: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
	}[r.Status]
	if status == "" {
		status = "INTERNAL"
	}
	body := object{"code": r.Status, "message": r.Message, "status": status}
	if r.Code != "" {
		body["details"] = []object{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": r.Code, "domain": "googleapis.com"}}
	}
	x.write(r.Status, object{"error": body})
}
