package fake

import (
	"net/http"
	"slices"
)

// azureVersions are the dated versions of the API that the fake has.
var azureVersions = []string{"2024-02-01", "2024-06-01", "2024-10-21", "2025-03-01-preview", "2025-04-01-preview"}

// CognitiveScope is the scope an Entra token for Azure OpenAI must have.
const CognitiveScope = "https://cognitiveservices.azure.com/.default"

func (w *World) azure() *Vendor {
	v := w.vendor("azure", azureError, "egret-lab.openai.azure.com", "egret-lab.cognitiveservices.azure.com").withKey(secret() + secret())
	v.shapes = readShapes("openai") // the bodies are OpenAI's
	chat := v.shapes["chat"]
	chat["model"] = field{is: "string"} // the path may name it instead
	v.models = []string{"gpt-4o", "gpt-4o-mini"}
	v.handle("POST /openai/deployments/{deployment}/chat/completions", azure(dated(deployed((*exchange).chat))))
	v.handle("POST /openai/responses", azure(dated((*exchange).responses)))
	v.handle("POST /openai/v1/chat/completions", azure((*exchange).chat))
	v.handle("POST /openai/v1/responses", azure((*exchange).responses))
	v.handle("GET /openai/models", azure(dated(func(x *exchange) error {
		if err := x.trouble(); err != nil {
			return err
		}
		list := []object{}
		for _, id := range v.catalog() {
			list = append(list, object{"id": id, "object": "model", "created_at": 1_700_000_000, "status": "succeeded", "lifecycle_status": "generally-available"})
		}
		return x.reply(object{"object": "list", "data": list})
	})))
	return v
}

// azure asks for the api-key header or a token of Entra for Cognitive Services.
func azure(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		key, token := x.r.Header.Get("Api-Key"), x.bearer()
		switch {
		case key != "":
			x.presents(key, "")
			if !x.v.accepts(key) {
				return azureDenied("Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.")
			}
			x.presents(key, "api key")
		case token != "":
			x.presents(token, "")
			grant, ok := x.v.w.tokens.find(token, x.v.w.now())
			if !ok || grant.scope != CognitiveScope {
				return azureDenied("Principal does not have access to API/Operation: the token is unknown, expired or of another audience.")
			}
			x.presents(token, grant.subject)
		default:
			return azureDenied("Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API.")
		}
		return then(x)
	}
}

func azureDenied(why string) error {
	return &refusal{Status: http.StatusUnauthorized, Code: "401", Message: why}
}

// dated asks for the api-version parameter.
func dated(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		switch version := x.r.URL.Query().Get("api-version"); {
		case version == "":
			return &refusal{Status: http.StatusNotFound, Code: "404", Message: "Resource not found"}
		case !slices.Contains(azureVersions, version):
			return &refusal{Status: http.StatusBadRequest, Code: "UnsupportedApiVersion", Message: "The requested API version " + version + " is not supported."}
		}
		return then(x)
	}
}

// deployed asks for a deployment that exists.
func deployed(then func(*exchange) error) func(*exchange) error {
	return func(x *exchange) error {
		if !x.v.offers(x.r.PathValue("deployment")) {
			return &refusal{Status: http.StatusNotFound, Code: "DeploymentNotFound", Message: "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}
		}
		return then(x)
	}
}

// azureError writes Azure's {"error":{"code","message"}} for what its front
// refuses, and OpenAI's shape for what the model behind it does.
func azureError(x *exchange, r *refusal) {
	if r.Status == http.StatusBadRequest && r.Param != "" {
		openAIError(x, r)
		return
	}
	code := r.Code
	if code == "" {
		code = map[int]string{404: "404", 405: "405", 415: "415", 429: "429", 400: "BadRequest"}[r.Status]
	}
	if code == "" {
		code = "InternalServerError"
	}
	x.Header().Set("Apim-Request-Id", x.serial())
	x.write(r.Status, object{"error": object{"code": code, "message": r.Message}})
}
