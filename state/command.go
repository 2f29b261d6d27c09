package state

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// commands gives each command its number in the log. Numbers are never used
// again for something else; fields of commands may be added, never renumbered.
var commands = map[byte]reflect.Type{
	1: reflect.TypeFor[KVPut](),
	2: reflect.TypeFor[KVDelete](),
	3: reflect.TypeFor[Reap](),
	4: reflect.TypeFor[SessionCreate](),
	5: reflect.TypeFor[SessionDestroy](),
	6: reflect.TypeFor[Register](),
	7: reflect.TypeFor[Deregister](),
	8: reflect.TypeFor[Txn](),

	10: reflect.TypeFor[QueryCreate](),
	11: reflect.TypeFor[QueryUpdate](),
	12: reflect.TypeFor[QueryDelete](),

	20: reflect.TypeFor[AutopilotSet](),
	21: reflect.TypeFor[CoordinateBatch](),
	22: reflect.TypeFor[ConfigSet](),
	23: reflect.TypeFor[ConfigDelete](),

	30: reflect.TypeFor[ACLTokenSet](),
	31: reflect.TypeFor[ACLTokenDelete](),
	32: reflect.TypeFor[ACLPolicySet](),
	33: reflect.TypeFor[ACLPolicyDelete](),
	34: reflect.TypeFor[ACLRoleSet](),
	35: reflect.TypeFor[ACLRoleDelete](),
	36: reflect.TypeFor[ACLBootstrap](),
	37: reflect.TypeFor[LegacyTokenSet](),
	38: reflect.TypeFor[ACLInitial](),

	40: reflect.TypeFor[AuthMethodSet](),
	41: reflect.TypeFor[AuthMethodDelete](),
	42: reflect.TypeFor[BindingRuleSet](),
	43: reflect.TypeFor[BindingRuleDelete](),
	44: reflect.TypeFor[ACLLogin](),

	50: reflect.TypeFor[ACLCopy](),
	51: reflect.TypeFor[ACLCopyConfirm](),
}

var commandNumbers = func() map[reflect.Type]byte {
	m := map[reflect.Type]byte{}
	for n, t := range commands {
		m[t] = n
	}
	return m
}()

var (
	encMode = func() cbor.EncMode {
		m, err := cbor.EncOptions{Time: cbor.TimeRFC3339NanoUTC, Sort: cbor.SortCoreDeterministic}.EncMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
	decMode = func() cbor.DecMode {
		m, err := cbor.DecOptions{
			MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 24,
			UTF8: cbor.UTF8DecodeInvalid, // keys are any bytes
		}.DecMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
)

// An entry of the log is the number of the command, the leader's clock in
// nanoseconds since 1970, and the command in CBOR.
const entryHeader = 1 + 8

// Encode gives a command with the leader's clock as an entry of the log.
func Encode(c Command, now time.Time) ([]byte, error) {
	n, ok := commandNumbers[reflect.TypeOf(c).Elem()]
	if !ok {
		return nil, fmt.Errorf("encode command: %T has no number", c)
	}
	body, err := encMode.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command %T: %w", c, err)
	}
	b := make([]byte, entryHeader, entryHeader+len(body))
	b[0] = n
	binary.BigEndian.PutUint64(b[1:], uint64(now.UnixNano()))
	return append(b, body...), nil
}

// Decode reads what Encode wrote. The command shares no memory with b.
func Decode(b []byte, index uint64) (Entry, error) {
	if len(b) < entryHeader {
		return Entry{}, fmt.Errorf("decode log entry %d: %d bytes are too few", index, len(b))
	}
	t, ok := commands[b[0]]
	if !ok {
		return Entry{}, fmt.Errorf("decode log entry %d: unknown command %d, written by a newer version", index, b[0])
	}
	c := reflect.New(t)
	if err := decMode.Unmarshal(b[entryHeader:], c.Interface()); err != nil {
		return Entry{}, fmt.Errorf("decode log entry %d: %s: %w", index, t.Name(), err)
	}
	now := time.Unix(0, int64(binary.BigEndian.Uint64(b[1:]))).UTC()
	return Entry{Index: index, Now: now, Command: c.Interface().(Command)}, nil
}
