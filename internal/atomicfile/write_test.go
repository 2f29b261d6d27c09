package atomicfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "file")
	for _, want := range []string{"first, which is longer", "second", ""} {
		if err := Write(path, []byte(want)); err != nil {
			t.Fatalf("write %q: %v", want, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("after writing %q: got %q, %v", want, got, err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("the directory holds %v, %v; want the file alone", left, err)
	}
	if err := Write(filepath.Join(path, "below"), nil); err == nil {
		t.Error("a file took the place of a directory without an error")
	}
}
