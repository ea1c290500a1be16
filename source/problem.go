package source

import (
	"fmt"
	"strings"
)

// Problem is a mistake that keeps one object, or one file, from being read.
// Every part that is known is filled in; String joins them for a person.
type Problem struct {
	// File is the path as the user gave or would give it; "-" is stdin.
	File string `json:"file"`
	// Line counts from 1; 0 is unknown.
	Line int `json:"line,omitempty"`
	// Object is the object's kind and name, such as "HTTPRoute default/chat".
	Object string `json:"object,omitempty"`
	// Field is the path of the field, such as spec.rules[0].backendRefs.
	Field string `json:"field,omitempty"`
	// Why says what was refused; Do says what to do about it.
	Why string `json:"why"`
	Do  string `json:"do,omitempty"`
}

// String returns "file:line: object: field: why; do" without the parts that are empty.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	for _, part := range []string{p.Object, p.Field, p.Why} {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(part)
	}
	if p.Do != "" {
		b.WriteString("; ")
		b.WriteString(p.Do)
	}
	return b.String()
}

// Problems is a list of problems in the order of the input.
type Problems []Problem

// String returns one problem per line.
func (ps Problems) String() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems as one error, or nil when there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return problemsError{ps}
}

type problemsError struct{ ps Problems }

func (e problemsError) Error() string { return e.ps.String() }
