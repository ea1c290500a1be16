// Package fake is the vendors that Egret calls, as servers on loopback: the
// providers of models, and those who issue the credentials for them.
//
//	OpenAI     api.openai.com                              chat completions, responses, models
//	Anthropic  api.anthropic.com                           messages, count_tokens, models
//	Azure      egret-lab.openai.azure.com                  deployments and /openai/v1, key or Entra token
//	Gemini     generativelanguage.…, us-central1-aiplatform.googleapis.com
//	Bedrock    bedrock-runtime.us-east-1.amazonaws.com     Converse and InvokeModel, SigV4 recomputed
//	STS        sts.amazonaws.com, sts.us-east-1.…          AssumeRole, AssumeRoleWithWebIdentity
//	Google     oauth2, sts, iamcredentials .googleapis.com JWT bearer, token exchange, impersonation
//	Entra      login.microsoftonline.com                   v2.0 tokens: secret, certificate, federation
//	OAuth      login.partner.example                       client credentials
//	Metadata   169.254.169.254 and Google's name for it    AWS IMDSv2, GCP, Azure; over cleartext, as in life
//
// All answer on one TLS address, under their real names with certificates of a
// CA of their own: a test maps the names to World.Addr and verifies as in life.
//
//	request ─► journal ─► host, path ─► credential ─► headers ─► body against its shape ─► Fault ─► answer
//
// They are strict: what a vendor refuses is refused in the vendor's own words
// and shape. An answer repeats the last thing that was said, word by word; a
// token is a word, so that a test can recompute every count (Tokens). Faults
// are set by the test (Vendor.Next, Vendor.Always), never by what a client
// sends. The module sdk beneath proves each fake with the vendor's own client.
//
// What a vendor does to a request that its documentation does not describe is
// guessed: Bedrock's and Gemini's real services are laxer about unknown fields.
package fake
