package sim

// The order of the fields below is part of the wire shape (maas 10): answers are compared with the reference's byte by byte.

// answer is a whole completion or one chunk of a streamed one. A chunk has an id of its own and carries usage only in
// the extra last chunk that stream_options.include_usage asks for.
type answer struct {
	ID      string `json:"id"`
	Created int64  `json:"created"` // Unix seconds, the same in all chunks of a stream
	Model   string `json:"model"`
	Usage   *usage `json:"usage"`
	Object  string `json:"object"`
	handover
	Choices []any `json:"choices"`
}

type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// handover is how a prefill server and a decode server tell each other where the KV cache of a prompt is.
type handover struct {
	DoRemoteDecode  bool     `json:"do_remote_decode"`
	DoRemotePrefill bool     `json:"do_remote_prefill"`
	RemoteBlockIDs  []string `json:"remote_block_ids"`
	RemoteEngineID  string   `json:"remote_engine_id"`
	RemoteHost      string   `json:"remote_host"`
	RemotePort      int      `json:"remote_port"`
}

// prefilled is what the answer to a prefill request hands to the decode server: constants, since there is no cache.
func prefilled() handover {
	return handover{
		DoRemoteDecode: true,
		RemoteBlockIDs: []string{"DUMMY_ID"},
		RemoteEngineID: "DUMMY_ID",
		RemoteHost:     "DUMMY",
		RemotePort:     1234,
	}
}

// mark opens every choice.
type mark struct {
	Index        int     `json:"index"` // always 0: one choice per request
	FinishReason *string `json:"finish_reason"`
}

type chatChoice struct {
	mark
	Message  message       `json:"message"`
	Logprobs *chatLogprobs `json:"logprobs,omitempty"`
}

type chatDelta struct {
	mark
	Delta    message       `json:"delta"`
	Logprobs *chatLogprobs `json:"logprobs,omitempty"`
}

type textChoice struct {
	mark
	Text     string        `json:"text"`
	Logprobs *textLogprobs `json:"logprobs,omitempty"`
}

// message is a whole message or the delta of one; its content is never left out.
type message struct {
	Role      string `json:"role,omitempty"`
	Content   string `json:"content"`
	ToolCalls []call `json:"tool_calls,omitempty"`
}

type call struct {
	Function callFunction `json:"function"`
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Index    int          `json:"index"`
}

// callFunction names the function in a whole call and in the first chunk of a streamed one. v0.6.1 forgot to tag its
// list of argument tokens, so the list is on the wire under its Go name.
type callFunction struct {
	Name               *string  `json:"name"`
	Arguments          string   `json:"arguments"`
	TokenizedArguments []string `json:"TokenizedArguments"`
}

type chatLogprobs struct {
	Content []chatLogprob `json:"content"`
}

type chatLogprob struct {
	tokenLogprob
	Top []tokenLogprob `json:"top_logprobs"`
}

type tokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

type textLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"` // bytes from the start of the text
}

// card is one entry of GET /v1/models.
type card struct {
	ID      string  `json:"id"`
	Object  string  `json:"object"`
	Created int64   `json:"created"`
	OwnedBy string  `json:"owned_by"`
	Root    string  `json:"root"`
	Parent  *string `json:"parent"` // the base model of an adapter, else null
}

type cards struct {
	Object string `json:"object"`
	Data   []card `json:"data"`
}
