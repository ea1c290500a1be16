package sdk

import (
	"errors"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	claude "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/egret-gateway/egret/lab/fake"
)

// TestBroken: a stream that does not end well is an error for the client.
func TestBroken(t *testing.T) {
	p := newPlatform(t)
	c, question := p.gpt(p.token), chatQuestion()
	for _, then := range []fake.Break{fake.Cut, fake.Fail, fake.Garble} {
		p.world.OpenAI.Next(fake.Fault{After: 2, Then: then})
		s := c.Chat.Completions.NewStreaming(t.Context(), question)
		for s.Next() {
		}
		if s.Err() == nil {
			t.Errorf("openai, %s: the client noticed nothing", then)
		}
	}
	m := p.claude(claude.WithAPIKey(p.token))
	for _, then := range []fake.Break{fake.Cut, fake.Fail} {
		p.world.Anthropic.Next(fake.Fault{After: 2, Then: then})
		if _, err := gather(t, m, message()); err == nil {
			t.Errorf("anthropic, %s: the client noticed nothing", then)
		}
	}
}

// TestUnverified: who is not the vendor is told nothing, and clients get an
// error of their own kind.
func TestUnverified(t *testing.T) {
	p := newPlatform(t)
	other, err := fake.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vendors(p.world) {
		cert, err := other.Issue(nil, v.Hosts[0])
		if err != nil {
			t.Fatal(err)
		}
		p.world.Present(v.Hosts[0], cert)
	}
	t.Run("gateway-87 openai", func(t *testing.T) {
		c := p.gpt(p.token)
		_, err := c.Chat.Completions.New(t.Context(), chatQuestion())
		var typed *openai.Error
		if !errors.As(err, &typed) || typed.StatusCode != 502 || typed.Message == "" {
			t.Errorf("%v, want a typed 502", err)
		}
	})
	t.Run("gateway-87 anthropic", func(t *testing.T) {
		c := p.claude(claude.WithAPIKey(p.token))
		_, err := c.Messages.New(t.Context(), message())
		var typed *anthropic.Error
		if !errors.As(err, &typed) || typed.StatusCode != 502 || typed.Type() != anthropic.ErrorTypeAPIError {
			t.Errorf("%v, want a typed 502", err)
		}
	})
	for _, v := range vendors(p.world) {
		if seen := v.Journal(); len(seen) > 0 {
			t.Errorf("%s saw %d requests", v.Name, len(seen))
		}
	}
}

// TestVendors: each vendor's own client through the gateway, which shows the
// vendor the platform's key and charges the user for the answer.
func TestVendors(t *testing.T) {
	p := newPlatform(t)
	t.Run("openai", func(t *testing.T) {
		c := p.gpt(p.token)
		chats(t, p, c)
		responds(t, p, c)
		t.Run("refusals cost nothing", func(t *testing.T) {
			p.charges(t, func() int64 {
				refuses(t, p)
				if _, err := c.Chat.Completions.New(t.Context(), chatQuestion()); err != nil {
					t.Error(err)
				}
				return in + out
			})
		})
		t.Run("models", func(t *testing.T) {
			page, err := c.Models.List(t.Context())
			if err != nil || len(page.Data) != 3 || page.Data[0].ID != "gpt-4o" {
				t.Errorf("%+v, %v", page, err)
			}
		})
		t.Run("what else would say who the client is", func(t *testing.T) {
			c := p.gpt(p.token, option.WithOrganization("org-of-the-user"), option.WithProject("project-of-the-user"),
				option.WithHeader("X-Api-Key", p.token), option.WithHeader("Cookie", "token="+p.token), option.WithQuery("api_key", p.token))
			if _, err := c.Chat.Completions.New(t.Context(), chatQuestion()); err != nil {
				t.Error(err)
			}
		})
		t.Run("gateway-88 gateway-108 the vendor saw the platform's key and nothing of the user's", func(t *testing.T) { p.vouch(t, p.world.OpenAI, "authorization") })
	})
	t.Run("anthropic", func(t *testing.T) {
		for name, auth := range map[string]func(string) claude.RequestOption{"x-api-key": claude.WithAPIKey, "bearer": claude.WithAuthToken} {
			t.Run("the token as "+name, func(t *testing.T) {
				client := func(token string) anthropic.Client { return p.claude(auth(token)) }
				messages(t, p, client(p.token))
				t.Run("refusals cost nothing", func(t *testing.T) {
					p.charges(t, func() int64 {
						denies(t, p, client)
						c := client(p.token)
						if _, err := c.Messages.New(t.Context(), message()); err != nil {
							t.Error(err)
						}
						return in + out
					})
				})
			})
		}
		t.Run("gateway-88 gateway-108 the vendor saw the platform's key and nothing of the user's", func(t *testing.T) { p.vouch(t, p.world.Anthropic, "x-api-key") })
	})
}

// gpt is OpenAI's client, which knows the gateway's address and a token of it.
func (p *platform) gpt(token string, more ...option.RequestOption) openai.Client {
	return openai.NewClient(append([]option.RequestOption{option.WithBaseURL(p.URL + "/openai/v1"), option.WithAPIKey(token), option.WithHTTPClient(p.Client), option.WithMaxRetries(0)}, more...)...)
}

// claude is Anthropic's.
func (p *platform) claude(auth claude.RequestOption) anthropic.Client {
	return anthropic.NewClient(claude.WithoutEnvironmentDefaults(), claude.WithBaseURL(p.URL+"/anthropic"), claude.WithHTTPClient(p.Client), claude.WithMaxRetries(0), auth)
}
