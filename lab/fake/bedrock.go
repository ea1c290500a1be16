package fake

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

func (w *World) bedrock() *Vendor {
	v := w.vendor("bedrock", bedrockError, "bedrock-runtime."+region+".amazonaws.com").withKey("bedrock-api-key-" + secret())
	v.models = []string{"anthropic.claude-3-sonnet-20240229-v1:0", "amazon.nova-lite-v1:0", "meta.llama3-8b-instruct-v1:0"}
	own := readShapes("anthropic")
	v.handle("POST /model/{model}/converse", signed((*exchange).converse))
	v.handle("POST /model/{model}/converse-stream", signed((*exchange).converse))
	v.handle("POST /model/{model}/invoke", signed(func(x *exchange) error { return x.invoke(own) }))
	v.handle("POST /model/{model}/invoke-with-response-stream", signed(func(x *exchange) error { return x.invoke(own) }))
	return v
}

// signed asks for a signature, or for one of Bedrock's own API keys.
func signed(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		if key := x.bearer(); key != "" {
			x.presents(key, "")
			if !x.v.accepts(key) {
				return &refusal{Status: http.StatusForbidden, Kind: "AccessDeniedException", Message: "Authentication failed: Please make sure your API Key is valid."}
			}
			x.presents(key, "api key")
		} else if err := x.verify("bedrock"); err != nil {
			return err
		}
		if model := x.r.PathValue("model"); !x.v.offers(model) {
			return &refusal{Status: http.StatusBadRequest, Kind: "ValidationException", Message: "The provided model identifier is invalid."}
		}
		if x.media("application/json") != nil {
			return &refusal{Status: http.StatusUnsupportedMediaType, Kind: "UnsupportedMediaTypeException", Message: "Content-Type must be application/json."}
		}
		return then(x)
	}
}

func invalid(bad *wrong) error {
	return &refusal{Status: http.StatusBadRequest, Kind: "ValidationException", Message: "Malformed input request: " + bad.Error() + ", please reformat your input and try again."}
}

// converse is Converse and ConverseStream.
func (x *exchange) converse() error {
	if bad := x.check("converse"); bad != nil {
		return invalid(bad)
	}
	if err := x.trouble(); err != nil {
		return err
	}
	a := converseQuestion(gjson.ParseBytes(x.body)).answer()
	if strings.HasSuffix(x.r.URL.Path, "-stream") {
		return x.bedrockStream().converseEvents(a)
	}
	content := object{"text": a.text()}
	if a.call != "" {
		content = object{"toolUse": object{"toolUseId": "tooluse_lab_1", "name": a.call, "input": a.parsed()}}
	}
	out := object{"output": object{"message": object{"role": "assistant", "content": []object{content}}}, "stopReason": a.stopReason(), "metrics": object{"latencyMs": 1}}
	if used, told := x.usage(a.in, a.out); told {
		out["usage"] = converseUsage(used)
	}
	return x.reply(out)
}

func converseUsage(u Usage) object {
	return object{"inputTokens": u.Input, "outputTokens": u.Output, "totalTokens": u.Input + u.Output}
}

func converseQuestion(body gjson.Result) question {
	q := question{most: int(body.Get("inferenceConfig.maxTokens").Int())}
	for _, text := range texts(body.Get("system")) {
		q.aside(text)
	}
	for _, m := range body.Get("messages").Array() {
		q.heard = false
		for _, block := range m.Get("content").Array() {
			if text := block.Get("text"); text.Exists() {
				q.say(text.Str)
			}
			for _, part := range block.Get("toolResult.content").Array() {
				q.heard = true
				if said := part.Get("text"); said.Exists() {
					q.say(said.Str)
				} else if said := part.Get("json"); said.Exists() {
					q.say(said.Raw)
				}
			}
		}
	}
	for _, t := range body.Get("toolConfig.tools.#.toolSpec").Array() {
		q.tools = append(q.tools, tool{name: t.Get("name").Str, schema: t.Get("inputSchema.json")})
	}
	q.pick = body.Get("toolConfig.toolChoice.tool.name").Str
	return q
}

// bedrockStream starts a stream of AWS's frames.
func (x *exchange) bedrockStream() *stream {
	return x.stream("application/vnd.amazon.eventstream", eventStream, func(s *stream) error {
		return s.event("!modelStreamErrorException", object{"message": "The model ended the stream with an error.", "originalStatusCode": 500})
	})
}

func (s *stream) converseEvents(a answer) error {
	if err := s.event("messageStart", object{"role": "assistant"}); err != nil {
		return err
	}
	block := func(delta object) error {
		return s.token("contentBlockDelta", object{"contentBlockIndex": 0, "delta": delta})
	}
	if a.call != "" {
		start := object{"contentBlockIndex": 0, "start": object{"toolUse": object{"toolUseId": "tooluse_lab_1", "name": a.call}}}
		if err := s.event("contentBlockStart", start); err != nil {
			return err
		}
		for _, piece := range a.pieces() {
			if err := block(object{"toolUse": object{"input": piece}}); err != nil {
				return err
			}
		}
	}
	for _, word := range a.words {
		if err := block(object{"text": word}); err != nil {
			return err
		}
	}
	if err := s.tail(); err != nil {
		return err
	}
	if err := s.event("contentBlockStop", object{"contentBlockIndex": 0}); err != nil {
		return err
	}
	if err := s.event("messageStop", object{"stopReason": a.stopReason()}); err != nil {
		return err
	}
	end := object{"metrics": object{"latencyMs": 1}}
	if used, told := s.x.usage(a.in, a.out); told {
		end["usage"] = converseUsage(used)
	}
	return s.event("metadata", end)
}

// invoke is InvokeModel and its stream, for the models that speak as
// Anthropic's do: the body of the Messages API, its version in the body.
func (x *exchange) invoke(own shapes) error {
	model := x.r.PathValue("model")
	if !strings.HasPrefix(model, "anthropic.") {
		return &refusal{Status: http.StatusBadRequest, Kind: "ValidationException", Message: "This model is only served by Converse here."}
	}
	if version := gjson.GetBytes(x.body, "anthropic_version").Str; version != "bedrock-2023-05-31" {
		return &refusal{Status: http.StatusBadRequest, Kind: "ValidationException", Message: "anthropic_version: Field required"}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(x.body, &fields); err != nil {
		return &refusal{Status: http.StatusBadRequest, Kind: "ValidationException", Message: "Malformed input request: " + err.Error()}
	}
	delete(fields, "anthropic_version")
	rest := encode(fields)
	if bad := own.check("invoke", rest); bad != nil {
		return &refusal{Status: http.StatusBadRequest, Kind: "ValidationException", Message: anthropicWords(bad)}
	}
	if err := x.trouble(); err != nil {
		return err
	}
	a := anthropicQuestion(gjson.ParseBytes(rest)).answer()
	x.Header().Set("X-Amzn-Bedrock-Content-Type", "application/json")
	if strings.HasSuffix(x.r.URL.Path, "-stream") {
		s := x.bedrockStream()
		s.frame = func(name string, payload []byte) []byte {
			if strings.HasPrefix(name, "!") {
				return eventStream(name, payload)
			}
			return eventStream("chunk", encode(object{"bytes": payload}))
		}
		return s.messageEvents(model, a)
	}
	if used, told := x.usage(a.in, a.out); told {
		x.Header().Set("X-Amzn-Bedrock-Input-Token-Count", strconv.Itoa(used.Input))
		x.Header().Set("X-Amzn-Bedrock-Output-Token-Count", strconv.Itoa(used.Output))
	}
	return x.reply(x.message(model, a))
}

// bedrockError writes {"message"} and the class in a header, as AWS's
// REST-JSON services do.
func bedrockError(x *exchange, r *refusal) {
	kind := r.Kind
	if kind == "" {
		kind = map[int]string{404: "UnknownOperationException", 405: "UnknownOperationException", 429: "ThrottlingException", 503: "ServiceUnavailableException"}[r.Status]
	}
	if kind == "" {
		kind = "InternalServerException"
	}
	x.Header().Set("X-Amzn-ErrorType", kind)
	x.Header().Set("X-Amzn-RequestId", x.serial())
	x.write(r.Status, object{"message": r.Message})
}
