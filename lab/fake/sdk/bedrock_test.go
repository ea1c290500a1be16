package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/egret-gateway/egret/lab/fake"
)

const nova, claude = "amazon.nova-lite-v1:0", "anthropic.claude-3-sonnet-20240229-v1:0"

func config(w *fake.World, from aws.CredentialsProvider) aws.Config {
	return aws.Config{Region: w.AWS.Region, HTTPClient: w.HTTP(), Credentials: from, RetryMaxAttempts: 1}
}

func own(w *fake.World) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(w.AWS.AccessKeyID, w.AWS.SecretAccessKey, "")
}

func asked() []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: prompt}}}}
}

func TestBedrock(t *testing.T) {
	w := fake.New(t)
	c := bedrockruntime.NewFromConfig(config(w, own(w)))
	instructed := []types.SystemContentBlock{&types.SystemContentBlockMemberText{Value: system}}
	t.Run("converse", func(t *testing.T) {
		answer, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: asked(), System: instructed})
		if err != nil {
			t.Fatal(err)
		}
		message := answer.Output.(*types.ConverseOutputMemberMessage).Value
		if text := message.Content[0].(*types.ContentBlockMemberText).Value; text != prompt || int64(*answer.Usage.InputTokens) != in || int64(*answer.Usage.OutputTokens) != out {
			t.Errorf("%q for %+v", text, answer.Usage)
		}
	})
	t.Run("stream", func(t *testing.T) {
		text, used, err := converse(t, c, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(claude), Messages: asked(), System: instructed})
		if err != nil || text != prompt || int64(*used.TotalTokens) != in+out {
			t.Errorf("%v: %q for %+v", err, text, used)
		}
	})
	t.Run("tool", func(t *testing.T) {
		tools := &types.ToolConfiguration{Tools: []types.Tool{&types.ToolMemberToolSpec{Value: types.ToolSpecification{Name: aws.String("weather"), InputSchema: &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(weather)}}}}}
		answer, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: asked(), ToolConfig: tools})
		if err != nil {
			t.Fatal(err)
		}
		use := answer.Output.(*types.ConverseOutputMemberMessage).Value.Content[0].(*types.ContentBlockMemberToolUse).Value
		if input, err := use.Input.MarshalSmithyDocument(); err != nil || *use.Name != "weather" || string(input) != called {
			t.Errorf("%v: %s", err, input)
		}
		if text, _, err := converse(t, c, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(nova), Messages: asked(), ToolConfig: tools}); err != nil || text != called {
			t.Errorf("%v: %s", err, text)
		}
	})
	t.Run("invoke", func(t *testing.T) { invoke(t, c) })
	t.Run("refusals", func(t *testing.T) {
		for code, prepare := range map[string]func() *bedrockruntime.Client{
			"InvalidSignatureException": func() *bedrockruntime.Client {
				return bedrockruntime.NewFromConfig(config(w, credentials.NewStaticCredentialsProvider(w.AWS.AccessKeyID, "wrong", "")))
			},
			"UnrecognizedClientException": func() *bedrockruntime.Client {
				return bedrockruntime.NewFromConfig(config(w, credentials.NewStaticCredentialsProvider("AKIAWRONG", "wrong", "")))
			},
			"ThrottlingException":         func() *bedrockruntime.Client { w.Bedrock.Next(fake.Fault{Status: 429}); return c },
			"ServiceUnavailableException": func() *bedrockruntime.Client { w.Bedrock.Next(fake.Fault{Status: 503}); return c },
		} {
			_, err := prepare().Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: asked()})
			var typed smithy.APIError
			if !errors.As(err, &typed) || typed.ErrorCode() != code {
				t.Errorf("%v, want %s", err, code)
			}
		}
	})
	t.Run("broken streams", func(t *testing.T) {
		for _, then := range []fake.Break{fake.Cut, fake.Fail} {
			w.Bedrock.Next(fake.Fault{After: 2, Then: then})
			if _, _, err := converse(t, c, &bedrockruntime.ConverseStreamInput{ModelId: aws.String(nova), Messages: asked()}); err == nil {
				t.Errorf("%s: the client noticed nothing", then)
			}
		}
	})
}

func converse(t *testing.T, c *bedrockruntime.Client, q *bedrockruntime.ConverseStreamInput) (text string, used *types.TokenUsage, err error) {
	t.Helper()
	answer, err := c.ConverseStream(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	s := answer.GetStream()
	defer s.Close()
	for event := range s.Events() {
		switch e := event.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			switch d := e.Value.Delta.(type) {
			case *types.ContentBlockDeltaMemberText:
				text += d.Value
			case *types.ContentBlockDeltaMemberToolUse:
				text += *d.Value.Input
			}
		case *types.ConverseStreamOutputMemberMetadata:
			used = e.Value.Usage
		}
	}
	return text, used, s.Err()
}

func invoke(t *testing.T, c *bedrockruntime.Client) {
	body, err := json.Marshal(map[string]any{"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": []any{map[string]any{"role": "user", "content": prompt}}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(claude), Body: body, ContentType: aws.String("application/json")})
	if err != nil {
		t.Fatal(err)
	}
	var message struct{ Content []struct{ Text string } }
	if err := json.Unmarshal(answer.Body, &message); err != nil || message.Content[0].Text != prompt {
		t.Errorf("%v: %s", err, answer.Body)
	}
	streamed, err := c.InvokeModelWithResponseStream(t.Context(), &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String(claude), Body: body, ContentType: aws.String("application/json")})
	if err != nil {
		t.Fatal(err)
	}
	var text, last string
	for event := range streamed.GetStream().Events() {
		var e struct {
			Type  string
			Delta struct{ Text string }
		}
		if err := json.Unmarshal(event.(*types.ResponseStreamMemberChunk).Value.Bytes, &e); err != nil {
			t.Fatal(err)
		}
		text, last = text+e.Delta.Text, e.Type
	}
	if err := streamed.GetStream().Err(); err != nil || text != prompt || last != "message_stop" {
		t.Errorf("%v: %q, %s", err, text, last)
	}
}

// TestAWSCredentials calls Bedrock with the keys of an assumed role, of a web
// identity and of an instance.
func TestAWSCredentials(t *testing.T) {
	w := fake.New(t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(w.Cluster.Token(w.AWS.Subject, "sts.amazonaws.com", time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	service := sts.NewFromConfig(config(w, own(w)))
	for name, from := range map[string]aws.CredentialsProvider{
		"assumed role": stscreds.NewAssumeRoleProvider(service, w.AWS.RoleARN),
		"web identity": stscreds.NewWebIdentityRoleProvider(sts.NewFromConfig(config(w, nil)), w.AWS.RoleARN, stscreds.IdentityTokenFile(token)),
		"instance":     ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = imds.New(imds.Options{HTTPClient: w.HTTP()}) }),
	} {
		t.Run(name, func(t *testing.T) {
			w.Bedrock.Forget()
			c := bedrockruntime.NewFromConfig(config(w, from))
			if _, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: asked()}); err != nil {
				t.Fatal(err)
			}
			if seen := w.Bedrock.Journal()[0]; seen.Subject == "" || seen.Header.Get("X-Amz-Security-Token") == "" {
				t.Errorf("called as %q", seen.Subject)
			}
		})
	}
	t.Run("another role", func(t *testing.T) {
		_, err := stscreds.NewAssumeRoleProvider(service, w.AWS.RoleARN+"2").Retrieve(context.WithoutCancel(t.Context()))
		var typed smithy.APIError
		if !errors.As(err, &typed) || typed.ErrorCode() != "AccessDenied" {
			t.Errorf("%v", err)
		}
	})
	t.Run("who am I", func(t *testing.T) {
		me, err := service.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil || *me.Arn != "arn:aws:iam::123456789012:user/egret" {
			t.Errorf("%+v, %v", me, err)
		}
	})
}
