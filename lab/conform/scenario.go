package conform

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
)

// Scenario is one file.
type Scenario struct {
	Title     string
	Manifests []byte
	Steps     []Step
}

// Step is a request and what is expected of it.
type Step struct {
	// Wait passes before the step, such as "61s".
	Wait string `json:"wait,omitempty"`
	// Repeat makes the step several times; 0 = once.
	Repeat int `json:"repeat,omitempty"`
	// Away names who is out of reach: "limiter" or "identity".
	Away string `json:"away,omitempty"`

	Send    string   `json:"send"`              // "METHOD target"
	Gateway string   `json:"gateway,omitempty"` // default "default/gw"
	Port    int32    `json:"port,omitempty"`    // default 80
	Host    string   `json:"host,omitempty"`    // default "gw.example.com"
	With    []string `json:"with,omitempty"`    // header fields, "Name: value"
	Fields  int      `json:"fields,omitempty"`  // so many more fields of one name
	Body    string   `json:"body,omitempty"`
	Chat    string   `json:"chat,omitempty"`  // short for a chat body with this model, and its Content-Type
	Leave   int      `json:"leave,omitempty"` // the client goes after so many pieces of the answer

	Upstream []Behaviour `json:"upstream,omitempty"` // one per call; default: 200 and {}
	Calls    *int        `json:"calls,omitempty"`    // upstream calls expected; default 1

	Answer Answer           `json:"answer"`
	Seen   []View           `json:"seen,omitempty"`
	Record map[string]any   `json:"record,omitempty"`  // of the last exchange to end
	Hops   []map[string]any `json:"records,omitempty"` // of all exchanges, in the order they end
	Sights []string         `json:"sights,omitempty"`  // among what is known of backends then, each the beginning of a line
	Why    string           `json:"why,omitempty"`     // a pattern for the reason in a record, which each body words for itself
}

// Behaviour is what the upstream does with one call.
type Behaviour struct {
	Status  int      `json:"status,omitempty"` // default 200
	With    []string `json:"with,omitempty"`
	Body    string   `json:"body,omitempty"`
	Pieces  []Piece  `json:"pieces,omitempty"`  // an event stream: each goes out when the client has the one before
	Breaks  bool     `json:"breaks,omitempty"`  // the connection is cut at the end
	Silent  bool     `json:"silent,omitempty"`  // no answer at all
	Slow    string   `json:"slow,omitempty"`    // this long before the head
	Garbage bool     `json:"garbage,omitempty"` // closes the connection instead of answering
}

// Piece is one event of a stream.
type Piece struct {
	Data   string `json:"data"`             // of the event
	Event  string `json:"event,omitempty"`  // its name
	Hidden bool   `json:"hidden,omitempty"` // the client must not get it
	Wait   string `json:"wait,omitempty"`   // before it is sent
}

// text is the event on the wire.
func (p *Piece) text() string {
	name := ""
	if p.Event != "" {
		name = "event: " + p.Event + "\n"
	}
	return name + "data: " + p.Data + "\n\n"
}

// Answer is what the client expects.
type Answer struct {
	Status   int      `json:"status"`
	Has      []string `json:"has,omitempty"`   // "Name: value"; a value ending in * is a prefix
	Lacks    []string `json:"lacks,omitempty"` // names
	Body     *string  `json:"body,omitempty"`
	Contains []string `json:"contains,omitempty"`
	Broken   bool     `json:"broken,omitempty"` // it ends in the middle
	After    string   `json:"after,omitempty"`  // the head comes after exactly this long
}

// View is what the upstream expects of a call.
type View struct {
	Host  string   `json:"host,omitempty"`
	Path  string   `json:"path,omitempty"`
	Has   []string `json:"has,omitempty"`
	Lacks []string `json:"lacks,omitempty"`
	Body  *string  `json:"body,omitempty"`
	SNI   string   `json:"sni,omitempty"`
}

// Read reads a scenario file.
func Read(path string) (*Scenario, error) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	title, rest, _ := strings.Cut(string(archive.Comment), "\n")
	s := &Scenario{Title: title}
	for line := range strings.Lines(rest) {
		if err := s.include(line, filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, f := range archive.Files {
		switch f.Name {
		case "manifests.yaml":
			s.add(f.Data)
		case "script.yaml":
			if err := yaml.UnmarshalStrict(f.Data, &s.Steps); err != nil {
				return nil, fmt.Errorf("%s: script: %w", path, err)
			}
		default:
			return nil, fmt.Errorf("%s: part %s is neither manifests.yaml nor script.yaml", path, f.Name)
		}
	}
	if len(s.Steps) == 0 {
		return nil, fmt.Errorf("%s: no steps", path)
	}
	return s, nil
}

// include adds the manifests that a line of a scenario's head names: "with:"
// those that scenarios share, "installed:" those that the product installs,
// "example:" those of examples.
func (s *Scenario) include(line, dir string) error {
	kind, names, _ := strings.Cut(strings.TrimSpace(line), ":")
	where, known := map[string]string{"with": "share", "installed": "../../../manifests", "example": "../../../examples"}[kind]
	if !known {
		return fmt.Errorf("line %q: write with:, installed: or example:, and names", line)
	}
	for _, n := range strings.Fields(names) {
		text, err := os.ReadFile(filepath.Join(dir, where, n+".yaml"))
		if err != nil {
			return err
		}
		s.add(text)
	}
	return nil
}

func (s *Scenario) add(manifests []byte) {
	s.Manifests = append(append(s.Manifests, "\n---\n"...), manifests...)
}
