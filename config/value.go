package config

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"
)

// Addrs is a list of IP addresses or "unix://path"s that replaces an earlier
// value as a whole. After Load its templates are expanded.
type Addrs []string

// store merges a decoded value v of a file (string, bool, int64, float64,
// []any, map[string]any) into the field that dst points at. The error says
// what was wanted.
func store(dst, v any) error {
	switch p := dst.(type) {
	case *string:
		return scalar(p, v, "a string in quotes")
	case *bool:
		return scalar(p, v, "true or false, without quotes")
	case *int:
		return storeInt(p, v)
	case *float64:
		if n, ok := v.(int64); ok {
			v = float64(n)
		}
		return scalar(p, v, "a number without quotes")
	case *time.Duration:
		d, err := duration(v)
		if err != nil {
			return err
		}
		*p = d
		return nil
	case *Addrs:
		list, err := stringList(v)
		if err != nil {
			return err
		}
		*p = list
		return nil
	case *[]string:
		list, err := stringList(v)
		*p = append(*p, list...)
		return err
	}
	return storeObject(dst, v)
}

func storeObject(dst, v any) error {
	objects, err := objectList(v)
	if err != nil {
		return err
	}
	if p, ok := dst.(*[]map[string]any); ok {
		*p = append(*p, objects...)
		return nil
	}
	for _, o := range objects {
		switch p := dst.(type) {
		case *map[string]string:
			err = mergeMap(p, o, func(v any) (string, error) {
				s, ok := v.(string)
				if !ok {
					return "", wanted("strings in quotes as its values", v)
				}
				return s, nil
			})
		case *map[string]time.Duration:
			err = mergeMap(p, o, duration)
		case *map[string]any:
			err = mergeMap(p, o, func(v any) (any, error) { return v, nil })
		default:
			err = fmt.Errorf("no way to store a value in a %T", dst)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func mergeMap[V any](p *map[string]V, o map[string]any, convert func(any) (V, error)) error {
	if len(o) == 0 {
		return nil
	}
	merged := maps.Clone(*p)
	if merged == nil {
		merged = map[string]V{}
	}
	for k, v := range o {
		x, err := convert(v)
		if err != nil {
			return fmt.Errorf("%q: %w", k, err)
		}
		merged[k] = x
	}
	*p = merged
	return nil
}

func scalar[T any](p *T, v any, want string) error {
	x, ok := v.(T)
	if !ok {
		return wanted(want, v)
	}
	*p = x
	return nil
}

func storeInt(p *int, v any) error {
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		v = int64(f)
	}
	n, ok := v.(int64)
	if !ok || int64(int(n)) != n {
		return wanted("a whole number without quotes", v)
	}
	*p = int(n)
	return nil
}

// duration takes a string with a unit. A bare 0 is unambiguous and is taken
// too; any other number is refused, because seconds and nanoseconds are both
// in use for such numbers elsewhere in the API.
func duration(v any) (time.Duration, error) {
	const want = `a string with a unit, such as "10s"`
	if v == int64(0) {
		return 0, nil
	}
	s, ok := v.(string)
	if !ok {
		return 0, wanted(want, v)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, wanted(want, v)
	}
	return d, nil
}

func stringList(v any) ([]string, error) {
	if s, ok := v.(string); ok {
		return []string{s}, nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, wanted("a list of strings", v)
	}
	var out []string
	for _, item := range items {
		s, ok := item.(string)
		if !ok {
			return nil, wanted("a list of strings", v)
		}
		out = append(out, s)
	}
	return out, nil
}

// objectList takes an object, or a list of them: HCL writes a repeated block
// as the latter.
func objectList(v any) ([]map[string]any, error) {
	if o, ok := v.(map[string]any); ok {
		return []map[string]any{o}, nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, wanted("an object", v)
	}
	var out []map[string]any
	for _, item := range items {
		o, ok := item.(map[string]any)
		if !ok {
			return nil, wanted("an object", v)
		}
		out = append(out, o)
	}
	return out, nil
}

// wanted does not print objects and lists: they may be long, and hold secrets.
func wanted(want string, got any) error {
	switch got.(type) {
	case map[string]any:
		return fmt.Errorf("an object is not %s", want)
	case []any:
		return fmt.Errorf("this list is not %s", want)
	case string:
		return fmt.Errorf("%q is not %s", got, want)
	}
	return fmt.Errorf("%v is not %s", got, want)
}

// parseFlag turns the text of a flag into what a file would have said.
func parseFlag(k Kind, text string) (any, error) {
	switch k {
	case Bool:
		if text == "" {
			return true, nil
		}
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, wanted("true or false", text)
		}
		return b, nil
	case Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, wanted("a whole number", text)
		}
		return n, nil
	case Float:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, wanted("a number", text)
		}
		return f, nil
	case StringMap:
		key, value, _ := strings.Cut(text, ":")
		return map[string]any{key: value}, nil
	case DurationMap, Object, Blocks:
		return nil, fmt.Errorf("%s can only be given in a file", k)
	}
	return text, nil
}
