package maas

// Models answers GET /v1/models. Data is null when there is nothing to list
// (acceptance maas 73).
type Models struct {
	Data   []Model `json:"data"`
	Object string  `json:"object"` // "list"
}

// Model is one entry of the list.
type Model struct {
	ID      string `json:"id"`
	Created int64  `json:"created"` // Unix seconds
	Object  string `json:"object"`  // "model"
	OwnedBy string `json:"owned_by"`
	// URL is the address under which the model was reached; external models have none.
	URL     string        `json:"url,omitempty"`
	Ready   bool          `json:"ready"`
	Details *ModelDetails `json:"modelDetails,omitempty"`
	// Aliases are further names under which the same service answers.
	Aliases []string `json:"aliases,omitempty"`
}

// ModelDetails are what annotations of a local model say about it.
type ModelDetails struct {
	GenAIUseCase string `json:"genaiUseCase,omitempty"`
	Description  string `json:"description,omitempty"`
	DisplayName  string `json:"displayName,omitempty"`
}
