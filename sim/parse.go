package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// assignment is a flag as it was given.
type assignment struct {
	name   string
	values []string
}

// Parse reads the flags of llm-d-inference-sim and the YAML file that --config names; the command line wins. List flags
// take all arguments up to the next flag. POD_NAME, POD_NAMESPACE and PYTHONHASHSEED are read from the environment.
// The error names every flag at fault; it is flag.ErrHelp when help was asked for, which Help then gives.
func Parse(args []string) (Config, error) {
	c := Default()
	c.PodName, c.PodNamespace, c.KVCache.HashSeed = os.Getenv("POD_NAME"), os.Getenv("POD_NAMESPACE"), os.Getenv("PYTHONHASHSEED")
	known := map[string]option{"config": {name: "config"}}
	for _, f := range flags() {
		known[f.name] = f
	}
	given, err := split(args, known)
	if err != nil {
		return Config{}, err
	}
	for _, a := range given {
		if a.name != "config" {
			continue
		}
		settings, err := readConfig(a.values[0], known)
		if err != nil {
			return Config{}, fmt.Errorf("--config: %w", err)
		}
		if err := apply(&c, settings, known); err != nil {
			return Config{}, fmt.Errorf("--config %s: %w", a.values[0], err)
		}
	}
	if err := apply(&c, given, known); err != nil {
		return Config{}, err
	}
	return c, c.Check()
}

// Help is the text for --help.
func Help() string {
	var b strings.Builder
	b.WriteString("Simulates a vLLM inference server.\n\nFlags:\n")
	defaults := Default()
	fmt.Fprintf(&b, "  --%s\n        %s\n", "config", "YAML file with the flags below as keys; the command line wins")
	all := flags()
	slices.SortFunc(all, func(x, y option) int { return strings.Compare(x.name, y.name) })
	for _, f := range all {
		fmt.Fprintf(&b, "  --%s\n        %s", f.name, f.usage)
		if f.show != nil {
			if d := f.show(&defaults); d != "" && d != "false" {
				fmt.Fprintf(&b, " (default %s)", d)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// split cuts a command line into flags and their values.
func split(args []string, known map[string]option) ([]assignment, error) {
	var given []assignment
	for len(args) > 0 {
		name, value, hasValue, err := flagName(args[0])
		if err != nil {
			return nil, err
		}
		args = args[1:]
		f, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("there is no flag --%s; --help lists them", name)
		}
		a := assignment{name: name}
		switch {
		case hasValue:
			a.values = []string{value}
		case f.arity == toggle:
			a.values = []string{"true"}
		case f.arity == single && len(args) == 0:
			return nil, fmt.Errorf("--%s wants a value", name)
		case f.arity == single:
			a.values, args = args[:1], args[1:]
		}
		if f.arity == many {
			n := slices.IndexFunc(args, func(s string) bool { return strings.HasPrefix(s, "-") })
			if n < 0 {
				n = len(args)
			}
			a.values, args = append(a.values, args[:n]...), args[n:]
		}
		given = append(given, a)
	}
	return given, nil
}

func flagName(arg string) (name, value string, hasValue bool, err error) {
	trimmed := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	name, value, hasValue = strings.Cut(trimmed, "=")
	switch {
	case trimmed == arg || name == "":
		return "", "", false, fmt.Errorf("%q is not a flag; flags look like --port 8000", arg)
	case name == "help" || name == "h":
		return "", "", false, flag.ErrHelp
	}
	return name, value, hasValue, nil
}

// apply sets what was given, in order, and reports all that could not be set.
func apply(c *Config, given []assignment, known map[string]option) error {
	var p problems
	for _, a := range given {
		if a.name == "config" {
			continue
		}
		if err := known[a.name].set(c, a.values); err != nil {
			p.add("--%s: %w", a.name, err)
		}
	}
	return errors.Join(p...)
}

// readConfig reads a configuration file: the flags' names as keys; objects and lists of objects may be written out
// where the command line wants JSON.
func readConfig(path string, known map[string]option) ([]assignment, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var settings map[string]any
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber() // a seed has more digits than a float
	if err := decoder.Decode(&settings); err != nil {
		return nil, fmt.Errorf("%s: want a mapping of flag names to values: %w", path, err)
	}
	var given []assignment
	for name, v := range settings {
		f, ok := known[name]
		if !ok || name == "config" {
			return nil, fmt.Errorf("%s: there is no setting %q; --help lists them", path, name)
		}
		if v == nil {
			continue
		}
		values, isList := v.([]any)
		if !isList || f.arity != many {
			values = []any{v}
		}
		a := assignment{name: name}
		for _, v := range values {
			a.values = append(a.values, scalar(v))
		}
		given = append(given, a)
	}
	slices.SortFunc(given, func(x, y assignment) int { return strings.Compare(x.name, y.name) })
	return given, nil
}

// scalar writes a value of the file as the command line would have it.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number, bool:
		return fmt.Sprint(v)
	}
	written, err := json.Marshal(v)
	if err != nil {
		panic("BUG: what was read as JSON cannot be written as JSON: " + err.Error())
	}
	return string(written)
}
