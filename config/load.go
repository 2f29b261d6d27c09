package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Sources is what the command line says about where the configuration comes from.
type Sources struct {
	Dev bool // -dev
	// Files are the arguments of -config-file and -config-dir in the order given; either may name a
	// file or a directory.
	Files []string
	// Format is -config-format: the format of all files, whatever their names; "" = by extension.
	Format Format
	Flags  []FlagValue
}

// FlagValue is one flag as given. Name has no dash, and is "hcl" or the Flag
// (or a FlagAlias) of a Setting. The empty value of a Bool flag means true.
type FlagValue struct{ Name, Value string }

// Load merges the sources in their order of precedence, lowest first: defaults, -dev,
// files, flags; then fills in what depends on other settings and on the host, and
// validates the result. Warnings are complete sentences for the log, one per line.
// An error lists everything that is wrong, one line each.
func Load(src Sources) (*Config, []string, error) {
	l := &loader{c: Default()}
	if src.Dev {
		l.c.Mode.Dev = true
		l.document("-dev", devDocument())
	}
	l.c.Process.Files = src.Files
	for _, path := range src.Files {
		l.path(path, src.Format)
	}
	for _, f := range src.Flags {
		l.flag(f)
	}
	return l.finish(thisHost())
}

// LoadDefinitions reads the services, checks and watches of files, and of the
// files in directories, as Load would. The rest of the files is looked at, and not
// used. An error lists everything that is wrong, one line each.
func LoadDefinitions(files []string) (Definitions, error) {
	l := &loader{c: Default()}
	for _, path := range files {
		l.path(path, "")
	}
	return l.c.Definitions, errors.Join(l.errs...)
}

// finish turns what was merged into a complete configuration.
func (l *loader) finish(h host) (*Config, []string, error) {
	if len(l.errs) > 0 {
		return nil, nil, errors.Join(l.errs...)
	}
	warnings := l.c.unfinished()
	more, err := l.c.complete(h)
	if err != nil {
		return nil, nil, err
	}
	return l.c, append(warnings, more...), nil
}

// devDocument is what -dev changes, as a file would say it.
func devDocument() map[string]any {
	return map[string]any{
		"server":               true,
		"bind_addr":            "127.0.0.1",
		"log_level":            "DEBUG",
		"enable_debug":         true,
		"disable_keyring_file": true,
		"ui_config":            map[string]any{"enabled": true},
		"connect":              map[string]any{"enabled": true},
		"performance":          map[string]any{"raft_multiplier": int64(1)},
		"ports":                map[string]any{"grpc": int64(8502)},
	}
}

// loader merges sources into c, and collects everything that is wrong with them.
type loader struct {
	c    *Config
	errs []error
}

func (l *loader) fail(source string, err error) {
	l.errs = append(l.errs, fmt.Errorf("config: %s: %w", source, err))
}

// path reads a file, or the .json and .hcl files of a directory in
// alphabetical order, without descending.
func (l *loader) path(path string, f Format) {
	info, err := os.Stat(path)
	if err != nil {
		l.fail(path, err)
		return
	}
	if !info.IsDir() {
		if f == "" {
			f = formatOf(path)
		}
		if f == "" {
			l.fail(path, errors.New("unknown format: name the file .json or .hcl, or give -config-format"))
			return
		}
		l.file(path, f)
		return
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		l.fail(path, err)
		return
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		format := formatOf(name)
		// Stat, not the entry: mounted configuration is often made of symbolic links.
		if info, err := os.Stat(name); format == "" || err == nil && info.IsDir() {
			continue
		}
		if f != "" {
			format = f
		}
		l.file(name, format)
	}
}

func (l *loader) file(path string, f Format) {
	file, err := os.Open(path)
	if err != nil {
		l.fail(path, err)
		return
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		l.fail(path, err)
		return
	}
	l.text(path, text, f)
}

func (l *loader) text(source string, text []byte, f Format) {
	doc, err := decode(text, f)
	if err != nil {
		l.fail(source, err)
		return
	}
	l.document(source, doc)
}

func (l *loader) flag(f FlagValue) {
	source := "-" + f.Name
	if f.Name == "hcl" {
		l.text(source, []byte(f.Value), HCL)
		return
	}
	s := index().byFlag[f.Name]
	if s == nil {
		l.fail(source, errors.New("unknown flag"))
		return
	}
	v, err := parseFlag(s.Kind, f.Value)
	if err != nil {
		l.fail(source, err)
		return
	}
	l.assign(assignment{s, s.Key, v}, source)
}

// assignment is one key of a document with the row that it means.
type assignment struct {
	to  *Setting
	key string // as written: the row's key or an alias
	v   any
}

func (l *loader) assign(a assignment, source string) {
	if a.v == nil {
		return // a null says nothing
	}
	if err := store(a.to.in(l.c), a.v); err != nil {
		if a.to.Secret { // the error quotes the value
			err = fmt.Errorf("the value is not of the kind %q", a.to.Kind)
		}
		l.fail(source, fmt.Errorf("%s: %w", a.key, err))
		return
	}
	l.c.given[a.to.Key] = origin{source, a.key}
}

// document merges one decoded document.
func (l *loader) document(source string, doc map[string]any) {
	var all []assignment
	l.flatten(source, "", doc, &all)
	// Where one file says the same thing in the old and the new way, the new one wins.
	sort.SliceStable(all, func(i, j int) bool { return all[i].isAlias() && !all[j].isAlias() })
	for _, a := range all {
		l.assign(a, source)
	}
}

func (a assignment) isAlias() bool { return a.key != a.to.Key }

// flatten turns nested objects into assignments to rows of the table, as
// deep as the table knows groups, and reports the keys it does not know.
func (l *loader) flatten(source, prefix string, doc map[string]any, out *[]assignment) {
	t := index()
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		key, v := prefix+name, doc[name]
		rows := t.byKey[key]
		for _, s := range rows {
			*out = append(*out, assignment{s, key, v})
		}
		switch {
		case len(rows) > 0 || v == nil && t.groups[key]:
		case t.groups[key]:
			objects, err := objectList(v)
			if err != nil {
				l.fail(source, fmt.Errorf("%s: %w", key, err))
			}
			for _, o := range objects {
				l.flatten(source, key+".", o, out)
			}
		default:
			err := fmt.Errorf("invalid config key %q", key)
			if meant := t.suggest(key); meant != "" {
				err = fmt.Errorf("%w (did you mean %q?)", err, meant)
			}
			l.fail(source, err)
		}
	}
}

// unfinished warns about each key that was given and does nothing. It must
// run before defaults that depend on other settings are filled in.
func (c *Config) unfinished() []string {
	var out []string
	for _, s := range index().rows {
		from, text := c.given[s.Key], ""
		switch {
		case from.source == "" || from.source == "-dev" || s.Status == Effective:
		case s.Status == Removed:
			text = fmt.Sprintf("config: %s belongs to an older version and is ignored.", from)
		case !reflect.DeepEqual(s.value(c), s.zero()):
			text = fmt.Sprintf("config: %s has no effect yet (%s).", from, strings.TrimSuffix(s.Doc, "."))
		}
		// An alias that stands for several rows is one key to who wrote it.
		if text != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}
