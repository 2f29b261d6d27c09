package cluster_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// act is what a client does with one key.
type act string

const (
	get       act = "get"
	put       act = "put"
	cas       act = "cas"     // put if the key is as expected
	remove    act = "delete"  // unconditionally
	removeCAS act = "delete?" // if the key is as expected
	acquire   act = "acquire"
	release   act = "release"
)

// input is one operation. Values are unique, so that a value stands for the
// ModifyIndex under which it was written.
type input struct {
	act     act
	key     string
	value   string // to be written
	expect  string // the value whose ModifyIndex is the condition; empty: the key is absent
	session string
}

// output is an answer. Of an operation that was not answered nothing is known.
type output struct {
	known bool
	ok    bool  // of writes
	found entry // of reads
}

// entry is what there is of a key; the zero value is that there is nothing.
type entry struct {
	value   string // never empty when there is something
	session string // that holds the lock
}

// step is what the documentation says of one operation on one key.
func step(is entry, in input, out output) (bool, entry) {
	ok, next := true, is
	write := func() { next.value = in.value }
	switch in.act {
	case get:
		return !out.known || out.found == is, is
	case put:
		write()
	case cas:
		if ok = is.value == in.expect; ok {
			write()
		}
	case remove:
		next = entry{}
	case removeCAS:
		if ok = is.value == "" || is.value == in.expect; ok {
			next = entry{}
		}
	case acquire:
		if ok = is.session == "" || is.session == in.session; ok {
			write()
			next.session = in.session
		}
	case release:
		if ok = is.session == in.session; ok {
			write()
			next.session = ""
		}
	}
	return !out.known || out.ok == ok, next
}

func (in input) String() string {
	s := fmt.Sprint(in.act, " ", in.key)
	for _, more := range [][2]string{{"value", in.value}, {"expect", in.expect}, {"session", in.session}} {
		if more[1] != "" {
			s += " " + more[0] + "=" + more[1]
		}
	}
	return s
}

func (out output) String() string {
	switch {
	case !out.known:
		return "no answer"
	case out.ok:
		return "true"
	case out.found != (entry{}):
		return fmt.Sprintf("%+v", out.found)
	}
	return "false or nothing"
}

var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(input).key
			byKey[key] = append(byKey[key], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range byKey {
			out = append(out, ops)
		}
		return out
	},
	Init: func() any { return entry{} },
	Step: func(is, in, out any) (bool, any) { return step(is.(entry), in.(input), out.(output)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprint(in.(input), " -> ", out.(output))
	},
}

// checkWait bounds the search for an order of a history.
const checkWait = 30 * time.Second

// linearizable fails the test unless there is an order of the operations that
// explains every answer.
func linearizable(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	for _, ops := range model.Partition(history) {
		result, info := porcupine.CheckOperationsVerbose(model, ops, checkWait)
		if result == porcupine.Ok {
			continue
		}
		t.Errorf("operations on %s: %s\n%s", ops[0].Input.(input).key, result, trouble(ops, info))
	}
}

// trouble shows where no order goes on: what comes around the end of the longest
// order that was found.
func trouble(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	longest := 0
	for _, partial := range info.PartialLinearizations() {
		for _, order := range partial {
			longest = max(longest, len(order))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d can be ordered; around the end of these:\n", longest, len(ops))
	const around = 12
	for i := max(longest-around, 0); i < min(longest+around, len(ops)); i++ {
		op := ops[i]
		ended := time.Duration(op.Return).String()
		if op.Return == math.MaxInt64 {
			ended = "?"
		}
		fmt.Fprintf(&b, "  client %d  %v..%s  %s -> %s\n", op.ClientId, time.Duration(op.Call), ended, op.Input.(input), op.Output.(output))
	}
	return b.String()
}

// TestModel is how the model judges small histories.
func TestModel(t *testing.T) {
	type ops = []porcupine.Operation
	op := func(from, to int64, in input, out output) porcupine.Operation {
		out.known = true
		return porcupine.Operation{Input: in, Output: out, Call: from, Return: to}
	}
	lost := func(from int64, in input) porcupine.Operation {
		return porcupine.Operation{Input: in, Output: output{}, Call: from, Return: math.MaxInt64}
	}
	read := func(from, to int64, value string) porcupine.Operation {
		return op(from, to, input{act: get}, output{found: entry{value: value}})
	}
	write := input{act: put, value: "a"}
	yes, no := output{ok: true}, output{}
	for name, c := range map[string]struct {
		history ops
		want    bool
	}{
		"a write is read":                   {ops{op(1, 2, write, yes), read(3, 4, "a")}, true},
		"a write is not read":               {ops{op(1, 2, write, yes), read(3, 4, "")}, false},
		"a read beside the write":           {ops{op(1, 4, write, yes), read(2, 3, "")}, true},
		"a lost write is read":              {ops{lost(1, write), read(2, 3, ""), read(4, 5, "a")}, true},
		"a lost write never happens":        {ops{lost(1, write), read(2, 3, "")}, true},
		"a lost write is undone":            {ops{lost(1, write), read(2, 3, "a"), read(4, 5, "")}, false},
		"nobody wrote it":                   {ops{read(1, 2, "b")}, false},
		"two win the same cas":              {ops{op(1, 4, input{act: cas, value: "a"}, yes), op(2, 5, input{act: cas, value: "b"}, yes)}, false},
		"one wins a cas":                    {ops{op(1, 4, input{act: cas, value: "a"}, yes), op(2, 5, input{act: cas, value: "b"}, no)}, true},
		"two hold a lock":                   {ops{op(1, 2, input{act: acquire, session: "s", value: "a"}, yes), op(3, 4, input{act: acquire, session: "r", value: "b"}, yes)}, false},
		"a lock is handed on":               {ops{op(1, 2, input{act: acquire, session: "s", value: "a"}, yes), lost(3, input{act: release, session: "s", value: "b"}), op(5, 6, input{act: acquire, session: "r", value: "c"}, yes)}, true},
		"a delete of nothing, conditional":  {ops{op(1, 2, input{act: removeCAS, expect: "a"}, yes)}, true},
		"a delete of another, conditional":  {ops{op(1, 2, write, yes), op(3, 4, input{act: removeCAS, expect: "b"}, yes)}, false},
		"a delete that a later read denies": {ops{op(1, 2, write, yes), op(3, 4, input{act: remove}, yes), read(5, 6, "a")}, false},
	} {
		if got := porcupine.CheckOperations(model, c.history); got != c.want {
			t.Errorf("%s: got linearizable=%t, wanted %t", name, got, c.want)
		}
	}
}
