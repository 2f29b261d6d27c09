package state

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// rows lists what a tree holds, in the order of its walk.
func rows(n *node) []string {
	out := []string{}
	n.walk(func(row any) bool {
		out = append(out, *row.(*string))
		return true
	})
	return out
}

// TestTreeAgainstMap holds random transactions against a map: contents, order,
// prefixes, paths, and which watches fire.
func TestTreeAgainstMap(t *testing.T) {
	keys := rapid.StringOfN(rapid.RuneFrom([]rune("ab/")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		tr, model := newTree(), map[string]string{}
		for range rapid.IntRange(1, 12).Draw(t, "transactions") {
			before := maps.Clone(model)
			old := tr.root
			asked := rapid.SliceOfN(keys, 1, 5).Draw(t, "asked")
			var rowWatch, prefixWatch []<-chan struct{}
			for _, k := range asked {
				_, ch := old.getWatch([]byte(k))
				_, top := old.below([]byte(k))
				rowWatch, prefixWatch = append(rowWatch, ch), append(prefixWatch, top.watch.channel())
			}
			x, written := tr.begin(), map[string]bool{}
			for range rapid.IntRange(0, 8).Draw(t, "writes") {
				k := keys.Draw(t, "key")
				was, had := model[k]
				written[k] = true
				var got any
				if rapid.Bool().Draw(t, "insert") {
					row := k + "=" + rapid.StringN(1, 3, -1).Draw(t, "value")
					got, model[k] = x.insert([]byte(k), &row), row
				} else {
					got = x.remove([]byte(k))
					delete(model, k)
				}
				if (got != nil) != had || had && *got.(*string) != was {
					t.Fatalf("write of %q: gave back %v, want %q (%t)", k, got, was, had)
				}
			}
			tr = x.commit()
			x.notify()
			compareTree(t, tr, model)
			compareTree(t, &tree{root: old, size: len(before)}, before)
			for i, k := range asked {
				if _, had := before[k]; had {
					if got, want := closed(rowWatch[i]), written[k]; got != want {
						t.Fatalf("the watch of row %q fired: %t, want %t", k, got, want)
					}
				} else if _, has := model[k]; has && !closed(rowWatch[i]) {
					t.Fatalf("the watch of missing row %q slept through its insertion", k)
				}
				if changed := !maps.Equal(beginning(before, k), beginning(model, k)); changed && !closed(prefixWatch[i]) {
					t.Fatalf("the watch of prefix %q slept through a change", k)
				}
			}
		}
	})
}

func beginning(m map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if strings.HasPrefix(k, prefix) {
			out[k] = v
		}
	}
	return out
}

func compareTree(t *rapid.T, tr *tree, model map[string]string) {
	t.Helper()
	want := []string{}
	for _, k := range slices.Sorted(maps.Keys(model)) {
		want = append(want, model[k])
		if got, _ := tr.root.get([]byte(k)).(*string); got == nil || *got != model[k] {
			t.Fatalf("get %q: got %v, want %q", k, got, model[k])
		}
		var path []string
		tr.root.walkPath([]byte(k), func(row any) { path = append(path, *row.(*string)) })
		var wantPath []string
		for i := range len(k) + 1 {
			if v, ok := model[k[:i]]; ok {
				wantPath = append(wantPath, v)
			}
		}
		if diff := cmp.Diff(wantPath, path); diff != "" {
			t.Fatalf("path of %q: want (-), got (+):\n%s", k, diff)
		}
	}
	if diff := cmp.Diff(want, rows(tr.root)); diff != "" {
		t.Fatalf("rows: want (-), got (+):\n%s", diff)
	}
	if tr.size != len(model) {
		t.Fatalf("size: got %d, want %d", tr.size, len(model))
	}
}

// TestTreeWatchOfRowSleeps shows that the watch of a row that exists does not
// fire for its neighbours, whatever they do to the shape of the tree.
func TestTreeWatchOfRowSleeps(t *testing.T) {
	tr := newTree()
	put := func(k string) {
		x := tr.begin()
		x.insert([]byte(k), &k)
		tr = x.commit()
		x.notify()
	}
	put("app/web")
	_, ch := tr.root.getWatch([]byte("app/web"))
	for _, k := range []string{"app/webb", "app/we", "app", "a", "", "app/web/x", "b", "app/wea"} {
		put(k)
	}
	if closed(ch) {
		t.Fatal("the watch of app/web fired for its neighbours")
	}
	_, again := tr.root.getWatch([]byte("app/web"))
	if again != ch {
		t.Error("the row has another channel although it did not change")
	}
	put("app/web")
	if !closed(ch) {
		t.Error("the watch of app/web slept through its change")
	}
}

// TestTreeLateWatch shows that who asks an old tree for a channel after the
// change gets one that has fired.
func TestTreeLateWatch(t *testing.T) {
	tr := newTree()
	k := "k"
	x := tr.begin()
	x.insert([]byte(k), &k)
	old := x.commit()
	x = old.begin()
	x.remove([]byte(k))
	x.commit()
	x.notify()
	if _, ch := old.root.getWatch([]byte(k)); !closed(ch) {
		t.Error("the channel of a row that was deleted is open")
	}
	if _, top := old.root.below(nil); !closed(top.watch.channel()) {
		t.Error("the channel of the old root is open")
	}
}
