package api

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the JSON of a result to b. Empty lists are printed as [],
// never as null. The types of the hot paths have encoders of their own, which
// tests hold equal to encoding/json.
func AppendJSON(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v), nil
	case []*KVPair:
		b = append(b, '[')
		for i, p := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.appendJSON(b)
		}
		return append(b, ']'), nil
	case []string:
		b = append(b, '[')
		for i, s := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, s)
		}
		return append(b, ']'), nil
	}
	if rv := reflect.ValueOf(v); rv.IsValid() && rv.Kind() == reflect.Slice && rv.IsNil() {
		return append(b, '[', ']'), nil
	}
	enc, err := json.Marshal(v)
	return append(b, enc...), err
}

func (p *KVPair) appendJSON(b []byte) []byte {
	b = append(b, `{"LockIndex":`...)
	b = strconv.AppendUint(b, p.LockIndex, 10)
	b = append(b, `,"Key":`...)
	b = appendString(b, p.Key)
	b = append(b, `,"Flags":`...)
	b = strconv.AppendUint(b, p.Flags, 10)
	if p.Value == nil {
		b = append(b, `,"Value":null`...)
	} else {
		b = append(b, `,"Value":"`...)
		b = base64.StdEncoding.AppendEncode(b, p.Value)
		b = append(b, '"')
	}
	if p.Session != "" {
		b = append(b, `,"Session":`...)
		b = appendString(b, p.Session)
	}
	b = append(b, `,"CreateIndex":`...)
	b = strconv.AppendUint(b, p.CreateIndex, 10)
	b = append(b, `,"ModifyIndex":`...)
	b = strconv.AppendUint(b, p.ModifyIndex, 10)
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// appendString quotes s as encoding/json does with HTML escaping.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && size == 1) || r == '\u2028' || r == '\u2029' {
			b = append(b, s[start:i]...)
			if size == 1 {
				b = append(b, `\ufffd`...)
			} else {
				b = append(b, '\\', 'u', '2', '0', '2', hexDigits[r&15])
			}
			i += size
			start = i
			continue
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
