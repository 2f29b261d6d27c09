package api

import (
	"fmt"
	"reflect"
	"sync"
)

// Source says which part of a request carries an argument.
type Source uint8

// The sources of arguments, by the key of the struct tag.
const (
	FromPath   Source = iota // `path:"key"`: a parameter of the path, percent-decoded once
	FromQuery                // `query:"flags"`: a query parameter
	FromBody                 // `body:"json"` or `body:"raw"`: the body
	FromHeader               // `header:"Accept"`: a header
)

// Arg describes one field of an argument struct. Query fields may be string,
// bool (presence), uint64, *uint64 (nil when absent), []string (repeated), or
// implement QueryValue. The field is found at Index (embedded structs included).
type Arg struct {
	Name   string
	Source Source
	Index  []int
	Type   reflect.Type
	// Optional says that a body may be left out (`body:"json,optional"`).
	Optional bool
	// Strict says that a body with unknown fields is refused (`body:"json,strict"`).
	Strict bool
	// Relaxed says that a body is read by DecodeRelaxed (`body:"json,relaxed"`).
	Relaxed bool
}

// QueryValue is a query parameter with a syntax of its own.
type QueryValue interface {
	// ParseQuery takes the first value of the parameter; it is called only when
	// the parameter is present.
	ParseQuery(value string) error
	// QueryText gives the value to send, and false when it is to be left out.
	QueryText() (string, bool)
}

// Validator is implemented by arguments that can be wrong in themselves. It
// returns an *Error and may fill in defaults.
type Validator interface{ Validate() error }

var argCache sync.Map // reflect.Type -> []Arg

// ArgsOf lists the arguments of a struct type, embedded structs flattened.
func ArgsOf(t reflect.Type) []Arg {
	if v, ok := argCache.Load(t); ok {
		return v.([]Arg)
	}
	var out []Arg
	for _, f := range reflect.VisibleFields(t) {
		a := Arg{Index: f.Index, Type: f.Type}
		switch {
		case f.Tag.Get("path") != "":
			a.Name, a.Source = f.Tag.Get("path"), FromPath
		case f.Tag.Get("query") != "":
			a.Name, a.Source = f.Tag.Get("query"), FromQuery
		case f.Tag.Get("header") != "":
			a.Name, a.Source = f.Tag.Get("header"), FromHeader
		case f.Tag.Get("body") != "":
			a.Source = FromBody
			switch tag := f.Tag.Get("body"); tag {
			case "json", "raw":
				a.Name = tag
			case "json,optional":
				a.Name, a.Optional = "json", true
			case "json,strict":
				a.Name, a.Strict = "json", true
			case "json,optional,strict":
				a.Name, a.Optional, a.Strict = "json", true, true
			case "json,relaxed":
				a.Name, a.Relaxed = "json", true
			default:
				panic(fmt.Sprintf("api: %s.%s: unknown body tag %q", t, f.Name, tag))
			}
		default:
			continue
		}
		out = append(out, a)
	}
	argCache.Store(t, out)
	return out
}

// BodyNamer is implemented by arguments whose undecodable body is answered with
// another beginning than "Request decode failed: ".
type BodyNamer interface{ BodyError() string }
