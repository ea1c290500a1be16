package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Bounds of what a client may make the simulator generate.
const (
	maxDepth  = 16   // levels of a parameter schema
	maxValues = 4096 // values in the arguments of all calls of a reply
)

type tool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string  `json:"name"`
		Description *string `json:"description"`
		Parameters  *schema `json:"parameters"`
	} `json:"function"`
}

// schema is the restricted JSON Schema that tools may use; any other keyword is an error.
type schema struct {
	Type                 string             `json:"type"`
	Description          string             `json:"description"`
	Enum                 []json.RawMessage  `json:"enum"`
	Properties           map[string]*schema `json:"properties"`
	Items                *schema            `json:"items"`
	Required             []string           `json:"required"`
	AdditionalProperties *bool              `json:"additionalProperties"`
	MinItems             *int               `json:"minItems"`
	MaxItems             *int               `json:"maxItems"`
}

// UnmarshalJSON refuses the keywords that the simulator would have to ignore.
func (s *schema) UnmarshalJSON(data []byte) error {
	type plain schema
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	return strict.Decode((*plain)(s))
}

func (t *tool) check() error {
	switch f := t.Function; {
	case f.Name == "":
		return errors.New("function.name is missing")
	case f.Description == nil:
		return fmt.Errorf("function %q has no description", f.Name)
	case f.Parameters == nil:
		return fmt.Errorf("function %q has no parameters", f.Name)
	case f.Parameters.Type != "object":
		return fmt.Errorf("the parameters of function %q are not of type object", f.Name)
	}
	if err := t.Function.Parameters.check("parameters", maxDepth); err != nil {
		return fmt.Errorf("function %q: %w", t.Function.Name, err)
	}
	return nil
}

func (s *schema) check(path string, depth int) error {
	if depth == 0 {
		return fmt.Errorf("%s is nested more than %d levels deep", path, maxDepth)
	}
	switch s.Type {
	case "string", "number", "integer", "boolean", "null":
	case "object":
		return s.checkObject(path, depth)
	case "array":
		return s.checkArray(path, depth)
	default:
		return fmt.Errorf("%s.type %q is not a JSON Schema type", path, s.Type)
	}
	return nil
}

func (s *schema) checkObject(path string, depth int) error {
	for name, property := range s.Properties {
		if property == nil {
			return fmt.Errorf("%s.properties.%s is null", path, name)
		}
		if err := property.check(path+".properties."+name, depth-1); err != nil {
			return err
		}
	}
	for _, name := range s.Required {
		if s.Properties[name] == nil {
			return fmt.Errorf("%s.required names %q, which is not among the properties", path, name)
		}
	}
	return nil
}

func (s *schema) checkArray(path string, depth int) error {
	if s.Items == nil {
		return fmt.Errorf("%s.items is missing", path)
	}
	least, most := 0, maxValues
	if s.MinItems != nil {
		least = *s.MinItems
	}
	if s.MaxItems != nil {
		most = *s.MaxItems
	}
	if least < 0 || least > most || most > maxValues {
		return fmt.Errorf("%s: minItems and maxItems must satisfy 0 <= minItems <= maxItems <= %d", path, maxValues)
	}
	return s.Items.check(path+".items", depth-1)
}

func findTool(tools []tool, name string) *tool {
	for i := range tools {
		if tools[i].Function.Name == name {
			return &tools[i]
		}
	}
	return nil
}

// toolChoice is "none", "auto", "required" or the name of the one function to call; absent means auto.
type toolChoice struct {
	mode string
	name string
}

// UnmarshalJSON reads a mode, or {"type":"function","function":{"name":…}}.
func (c *toolChoice) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	if json.Unmarshal(data, &c.mode) == nil {
		switch c.mode {
		case "none", "auto", "required":
			return nil
		}
		return fmt.Errorf("tool_choice %q is none of none, auto, required", c.mode)
	}
	var one struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if err := json.Unmarshal(data, &one); err != nil || one.Type != "function" || one.Function.Name == "" {
		return errors.New(`tool_choice is neither a mode nor {"type":"function","function":{"name":…}}`)
	}
	c.name = one.Function.Name
	return nil
}
