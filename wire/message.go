package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"curia/api"
)

// question is a request on its way. Fields may be added; what an agent does not
// know it ignores.
type question struct {
	Op          string
	Args        []byte // of the verb, in MessagePack, by the names of Go's fields
	Consistency uint8
	MaxStale    time.Duration
	MinIndex    uint64
	MaxWait     time.Duration
	Filter      string
	Token       string
	Datacenter  string
	Final       bool
	Passed      bool
}

// reply is an answer on its way.
type reply struct {
	// Result is the JSON that the HTTP API prints: what a server has encoded once
	// passes through every agent unchanged.
	Result      []byte
	Index       uint64
	KnownLeader bool
	LastContact time.Duration
	Consistency uint8
	Filtered    bool
	Failure     *failure
}

// failure is an *api.Error on its way.
type failure struct {
	Kind   uint8
	Msg    string
	Detail []byte // JSON; empty: none
	Waits  bool
}

// handle encodes structs by the names of their fields and leaves out nothing, so
// that nil and empty stay what they are. The tags that other encodings read say
// nothing here.
var handle = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{WriteExt: true}
	h.TypeInfos = codec.NewTypeInfos([]string{"wire"})
	h.MapType = reflect.TypeFor[map[string]any]()
	h.RawToString = true
	return h
}()

// encoders and decoders are used again: each is larger than what it reads.
var (
	encoders = sync.Pool{New: func() any { return &encoder{Encoder: codec.NewEncoderBytes(new([]byte), handle)} }}
	decoders = sync.Pool{New: func() any { return codec.NewDecoderBytes(nil, handle) }}
)

// encoder is an encoder with the buffer that it writes to.
type encoder struct {
	*codec.Encoder
	room []byte
}

// maxRoom is the largest buffer that is kept for later.
const maxRoom = 16 << 10

func encode(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	e.ResetBytes(&e.room)
	err := e.Encode(v)
	b := bytes.Clone(e.room)
	if cap(e.room) <= maxRoom {
		encoders.Put(e)
	}
	return b, err
}

func decode(b []byte, v any) error {
	d := decoders.Get().(*codec.Decoder)
	defer decoders.Put(d)
	d.ResetBytes(b)
	err := d.Decode(v)
	d.ResetBytes(noBytes) // with nil it would keep what is left of b for whoever is next
	return err
}

var noBytes = []byte{}

// messages is the codec of gRPC: a message in MessagePack, with the length of that
// before it, and behind it the field that may be large. MessagePack would copy
// that more than once, and piece by piece.
type messages struct{}

// message is a struct with a field that travels behind the others.
type message interface{ large() *[]byte }

func (q *question) large() *[]byte { return &q.Args }
func (r *reply) large() *[]byte    { return &r.Result }
func (p *part) large() *[]byte     { return &p.Data }

// headLength is the size of the length of what comes first.
const headLength = 4

func (messages) Name() string { return "curia" }

func (messages) Marshal(v any) ([]byte, error) {
	if t, ok := v.(*turn); ok {
		return t.marshal(), nil
	}
	field := v.(message).large()
	large := *field
	*field = nil
	head, err := encode(v)
	*field = large
	if err != nil {
		return nil, err
	}
	b := make([]byte, headLength, headLength+len(head)+len(large))
	binary.BigEndian.PutUint32(b, uint32(len(head)))
	return append(append(b, head...), large...), nil
}

func (messages) Unmarshal(b []byte, v any) error {
	if t, ok := v.(*turn); ok {
		return t.unmarshal(b)
	}
	if len(b) < headLength {
		return errTorn
	}
	head := binary.BigEndian.Uint32(b)
	b = b[headLength:]
	if uint64(head) > uint64(len(b)) {
		return errTorn
	}
	if err := decode(b[:head], v); err != nil {
		return err
	}
	*v.(message).large() = b[head:]
	return nil
}

var errTorn = errors.New("a message is shorter than it says")

// ask puts a request into words.
func ask(req *api.Request) (*question, error) {
	args, err := encode(req.Args)
	if err != nil {
		return nil, fmt.Errorf("encode the arguments of %s: %w", req.Op.Name, err)
	}
	return &question{
		Op: req.Op.Name, Args: args, Consistency: uint8(req.Consistency), MaxStale: req.MaxStale,
		MinIndex: req.MinIndex, MaxWait: req.MaxWait, Filter: req.Filter,
		Token: req.Token, Datacenter: req.Datacenter, Final: req.Final, Passed: req.Passed,
	}, nil
}

// request is the reverse of ask. Its errors are the asker's fault.
func (q *question) request() (*api.Request, error) {
	op := api.OpNamed(q.Op)
	if op == nil {
		return nil, api.Errorf(api.Invalid, "verb %q is unknown here: this server is of another version", q.Op)
	}
	if q.Consistency > uint8(api.Stale) {
		return nil, api.Errorf(api.Invalid, "consistency mode %d is unknown here: this server is of another version", q.Consistency)
	}
	args := op.NewArgs()
	if err := decode(q.Args, args); err != nil {
		return nil, api.Errorf(api.Invalid, "cannot read the arguments of %s: %v", q.Op, err)
	}
	return &api.Request{
		Op: op, Args: args, Token: q.Token, Datacenter: q.Datacenter, Final: q.Final, Passed: q.Passed, JSON: true,
		Query: api.Query{
			Consistency: api.Consistency(q.Consistency), MaxStale: q.MaxStale,
			MinIndex: q.MinIndex, MaxWait: q.MaxWait, Filter: q.Filter,
		},
	}, nil
}

// tell puts an answer into words.
func tell(resp *api.Response, err error) *reply {
	r := &reply{Failure: fail(err)}
	if resp == nil {
		return r
	}
	m := &resp.Meta
	r.Index, r.KnownLeader, r.LastContact, r.Consistency, r.Filtered = m.Index, m.KnownLeader, m.LastContact, uint8(m.Consistency), m.Filtered
	if err != nil {
		return r
	}
	if resp.Encoded != nil {
		r.Result, err = resp.Encoded.JSON(resp.Value)
	} else {
		r.Result, err = api.AppendJSON(nil, resp.Value)
	}
	r.Failure = fail(err)
	return r
}

// fail puts an error into words; nil for nil.
func fail(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Kind: uint8(api.Internal), Msg: err.Error()}
	var known *api.Error
	if !errors.As(err, &known) {
		return f
	}
	f.Kind, f.Waits = uint8(known.Kind), known.Waits
	if known.Detail != nil {
		if b, err := json.Marshal(known.Detail); err == nil {
			f.Detail = b
		}
	}
	return f
}

// err is the reverse of fail.
func (f *failure) err() error {
	switch {
	case f == nil:
		return nil
	case f.Kind == uint8(api.NotFound) && f.Msg == "" && f.Waits:
		return api.ErrNotFound
	case f.Kind == uint8(api.Internal):
		return errors.New(f.Msg)
	}
	e := &api.Error{Kind: api.ErrorKind(f.Kind), Msg: f.Msg, Waits: f.Waits}
	if len(f.Detail) > 0 {
		e.Detail = json.RawMessage(f.Detail)
	}
	return e
}

// response is the reverse of tell.
func (r *reply) response(req *api.Request) (*api.Response, error) {
	resp := &api.Response{Meta: api.Meta{
		Index: r.Index, KnownLeader: r.KnownLeader, LastContact: r.LastContact,
		Consistency: api.Consistency(min(r.Consistency, uint8(api.Stale))), Filtered: r.Filtered,
	}}
	switch err := r.Failure.err(); {
	case err == nil:
	case api.KindOf(err) == api.NotFound: // it tells the index at which nothing is there
		return resp, err
	default:
		return nil, err
	}
	if req.JSON && passes(req.Op.Result) {
		resp.Encoded = api.EncodedJSON(r.Result)
		return resp, nil
	}
	v := reflect.New(req.Op.Result)
	if err := json.Unmarshal(r.Result, v.Interface()); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", req.Op.Name, err)
	}
	resp.Value = v.Elem().Interface()
	return resp, nil
}

// passes reports whether the JSON of a result is what the HTTP API answers with.
func passes(t reflect.Type) bool {
	return t != reflect.TypeFor[api.RawValue]() && t != reflect.TypeFor[api.Nothing]()
}
