package filter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-bexpr"
	"github.com/hashicorp/go-bexpr/grammar"

	"curia/api"
)

// Selector is a boolean expression over values with names that the declaration
// of no noun knows: "value.x == y and z in list.groups".
type Selector struct{ eval *bexpr.Evaluator }

// Facts are what a Selector is about, by the words before and behind the dot:
// "value" and "x". Values are texts and lists of texts.
type Facts map[string]map[string]any

// NewSelector reads an expression. Every name in it must be one of blank, which
// has facts of the right kind without content. Errors are of kind Invalid.
func NewSelector(expr string, blank Facts) (*Selector, error) {
	if len(expr) > maxFilter {
		return nil, api.Errorf(api.Invalid, "%d bytes are too long, at most %d", len(expr), maxFilter)
	}
	tree, err := grammar.Parse("", []byte(expr), grammar.MaxExpressions(maxFilter*100))
	if err != nil {
		return nil, api.Errorf(api.Invalid, "%v", err)
	}
	if err := known(tree.(grammar.Expression), blank, nil); err != nil {
		return nil, err
	}
	eval, err := bexpr.CreateEvaluator(expr)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "%v", err)
	}
	s := &Selector{eval}
	_, err = s.Holds(blank)
	return s, err
}

// Holds evaluates the expression.
func (s *Selector) Holds(f Facts) (bool, error) {
	ok, err := s.eval.Evaluate(f)
	if err != nil {
		return false, api.Errorf(api.Invalid, "%v", err)
	}
	return ok, nil
}

// known wants the names in an expression to be among the facts, or to be bound
// by an expression around it.
func known(e grammar.Expression, blank Facts, bound []string) error {
	switch e := e.(type) {
	case *grammar.UnaryExpression:
		return known(e.Operand, blank, bound)
	case *grammar.BinaryExpression:
		if err := known(e.Left, blank, bound); err != nil {
			return err
		}
		return known(e.Right, blank, bound)
	case *grammar.CollectionExpression:
		if err := knownName(e.Selector.Path, blank, bound); err != nil {
			return err
		}
		n := e.NameBinding
		return known(e.Inner, blank, append(slices.Clone(bound), n.Default, n.Index, n.Value))
	case *grammar.MatchExpression:
		return knownName(e.Selector.Path, blank, bound)
	}
	return nil
}

func knownName(path []string, blank Facts, bound []string) error {
	if len(path) == 1 && slices.Contains(bound, path[0]) {
		return nil
	}
	if len(path) == 2 {
		if _, ok := blank[path[0]][path[1]]; ok {
			return nil
		}
	}
	var names []string
	for of, some := range blank {
		for name := range some {
			names = append(names, of+"."+name)
		}
	}
	slices.Sort(names)
	return api.Errorf(api.Invalid, "there is no %q, only %s", strings.Join(path, "."), orNothing(names))
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing: no claims are mapped"
	}
	return fmt.Sprintf("%q", names)
}
