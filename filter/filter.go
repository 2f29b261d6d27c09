package filter

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/hashicorp/go-bexpr"

	"curia/api"
)

// maxFilter bounds the text of a filter expression.
const maxFilter = 16 << 10

// Apply keeps the elements of a result for which a boolean expression holds; of
// a node with its services, the services. Other results are returned as they
// are. Errors are of kind Invalid. See "Filtering".
func Apply(value any, expr string) (any, error) {
	if len(expr) > maxFilter {
		return nil, api.Errorf(api.Invalid, "Failed to create boolean expression evaluator: %d bytes are too long, at most %d", len(expr), maxFilter)
	}
	eval, err := bexpr.CreateEvaluator(expr)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "Failed to create boolean expression evaluator: %v", err)
	}
	switch v := value.(type) {
	case *api.NodeServices:
		if v == nil {
			return v, nil
		}
		kept, err := filterMap(eval, reflect.ValueOf(v.Services))
		if err != nil {
			return nil, err
		}
		return &api.NodeServices{Node: v.Node, Services: kept.Interface().(map[string]*api.Service)}, nil
	case *api.NodeServiceList:
		if v == nil {
			return v, nil
		}
		kept, err := filterSlice(eval, reflect.ValueOf(v.Services))
		if err != nil {
			return nil, err
		}
		return &api.NodeServiceList{Node: v.Node, Services: kept.Interface().([]*api.Service)}, nil
	case map[string][]string:
		return filterNames(eval, v)
	}
	rv := reflect.ValueOf(value)
	if rv.Kind() == reflect.Map && rv.Type().Elem().Kind() == reflect.Pointer {
		kept, err := filterMap(eval, rv)
		if err != nil {
			return nil, err
		}
		return kept.Interface(), nil
	}
	if rv.Kind() != reflect.Slice || rv.Type().Elem().Kind() != reflect.Pointer {
		return value, nil
	}
	kept, err := filterSlice(eval, rv)
	if err != nil {
		return nil, err
	}
	return kept.Interface(), nil
}

// unknownSelector finds the name in what the library says of a field that does
// not exist.
var unknownSelector = regexp.MustCompile(`^error finding value in datum: /(\S+?):? at part`)

// matches evaluates an expression over one element.
func matches(eval *bexpr.Evaluator, element any) (bool, error) {
	ok, err := eval.Evaluate(element)
	if m := unknownSelector.FindStringSubmatch(fmt.Sprint(err)); m != nil {
		return false, api.Errorf(api.Invalid, "Failed to create boolean expression evaluator: Selector %q is not valid",
			strings.ReplaceAll(m[1], "/", "."))
	}
	if err != nil {
		return false, api.Errorf(api.Invalid, "Failed to evaluate the filter: %v", err)
	}
	return ok, nil
}

// blank makes an element without content in which every selector that is right
// leads somewhere: what it points to is there.
func blank(t reflect.Type) reflect.Value {
	v := reflect.New(t.Elem())
	for i := range t.Elem().NumField() {
		if f := v.Elem().Field(i); f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct && f.CanSet() {
			f.Set(blank(f.Type()))
		}
	}
	return v
}

func filterSlice(eval *bexpr.Evaluator, all reflect.Value) (reflect.Value, error) {
	kept := reflect.MakeSlice(all.Type(), 0, all.Len())
	// An expression that names fields which do not exist is wrong, also when
	// there is nothing to hold it against.
	if _, err := matches(eval, blank(all.Type().Elem()).Interface()); all.Len() == 0 && err != nil {
		return kept, err
	}
	for i := range all.Len() {
		ok, err := matches(eval, all.Index(i).Interface())
		if err != nil {
			return kept, err
		}
		if ok {
			kept = reflect.Append(kept, all.Index(i))
		}
	}
	return kept, nil
}

func filterMap(eval *bexpr.Evaluator, all reflect.Value) (reflect.Value, error) {
	kept := reflect.MakeMap(all.Type())
	for it := all.MapRange(); it.Next(); {
		ok, err := matches(eval, it.Value().Interface())
		if err != nil {
			return kept, err
		}
		if ok {
			kept.SetMapIndex(it.Key(), it.Value())
		}
	}
	return kept, nil
}

// filterNames holds an expression against the names of services and their tags.
func filterNames(eval *bexpr.Evaluator, all map[string][]string) (map[string][]string, error) {
	kept := map[string][]string{}
	for name, tags := range all {
		ok, err := matches(eval, &struct {
			ServiceName string
			ServiceTags []string
		}{name, tags})
		if err != nil {
			return nil, err
		}
		if ok {
			kept[name] = tags
		}
	}
	return kept, nil
}
