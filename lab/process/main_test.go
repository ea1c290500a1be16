package process

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/child"
	"github.com/egret-gateway/egret/policy/ident/local"
)

func TestMain(m *testing.M) {
	askZone()
	child.Main(m)
}

const chat = "/external/v1/chat/completions"

// ask is a chat whose answer repeats the message, where the simulator echoes.
func ask(message string, more ...string) string {
	return fmt.Sprintf(`{"model":"gpt-4-external","messages":[{"role":"user","content":%q}]%s}`, message, strings.Join(append([]string{""}, more...), ","))
}

// cost is what an answer says that it cost.
func cost(t testing.TB, a *child.Answer) int64 {
	t.Helper()
	var out struct {
		Usage struct {
			Total int64 `json:"total_tokens"`
		}
	}
	a.JSON(t, &out)
	return out.Usage.Total
}

// streamed is the usage that a stream reports, 0 when it does not, and whether
// it came to its proper end.
func streamed(body string) (total int64, whole bool) {
	sc := bufio.NewScanner(strings.NewReader(body))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		data, ok := strings.CutPrefix(sc.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return total, true
		}
		var chunk struct {
			Usage *struct {
				Total int64 `json:"total_tokens"`
			}
		}
		if json.Unmarshal([]byte(data), &chunk) == nil && chunk.Usage != nil {
			total = chunk.Usage.Total
		}
	}
	return total, false
}

// people is a users file.
type people string

func newPeople(t testing.TB) people { return people(filepath.Join(t.TempDir(), "users.yaml")) }

// add enrols somebody and returns the bearer token.
func (p people) add(t testing.TB, name string, groups ...string) string {
	t.Helper()
	token, err := local.Enroll(string(p), name, groups, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// account is the user id that a MaaS token stands for.
func account(t testing.TB, token string) string {
	t.Helper()
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Subject[strings.LastIndexByte(claims.Subject, ':')+1:]
}

// known waits until a running egret has taken a token in.
func known(t testing.TB, g *child.Gateway, userToken string) {
	t.Helper()
	child.Until(t, "the new user is known", func() bool {
		return g.Call(t, http.MethodGet, "/v1/models", userToken, "").Status == http.StatusOK
	})
}

// read returns a file's text.
func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// said is the text of a stream.
func said(body string) string {
	var b strings.Builder
	for line := range strings.Lines(body) {
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if ok && json.Unmarshal([]byte(data), &chunk) == nil && len(chunk.Choices) > 0 {
			b.WriteString(chunk.Choices[0].Delta.Content)
		}
	}
	return b.String()
}

// readAll reads and closes an answer's body.
func readAll(res *http.Response) (string, error) {
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}
