package house

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Room is one row of the import table: a package, or, when the name ends in
// "/…", a directory and all that is below it.
type Room struct {
	Name      string
	MayImport []string // names of rooms
	All       bool     // may import every room outside internal/, too
}

// Rooms is the import table.
type Rooms []Room

// ParseRooms reads the import table from ARCHITECTURE.md: the first table of
// the section "## Rooms", with the columns package, owns, may import. A dash
// stands for nothing; "all" for every room outside internal/.
func ParseRooms(doc []byte) (Rooms, error) {
	_, section, ok := bytes.Cut(doc, []byte("\n## Rooms\n"))
	if !ok {
		return nil, fmt.Errorf("ARCHITECTURE.md has no section %q", "## Rooms")
	}
	section, _, _ = bytes.Cut(section, []byte("\n## "))
	var rooms Rooms
	inTable := false
	for line := range strings.SplitSeq(string(section), "\n") {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			if inTable {
				return rooms, rooms.check()
			}
			continue
		case len(cells) != 3:
			return nil, fmt.Errorf("ARCHITECTURE.md, Rooms: want three cells: %q", line)
		case !inTable || strings.HasPrefix(cells[0], "-"):
			inTable = true
			continue
		}
		rooms = append(rooms, parseRoom(cells[0], cells[2]))
	}
	if !inTable {
		return nil, fmt.Errorf("ARCHITECTURE.md, Rooms: no table")
	}
	return rooms, rooms.check()
}

func parseRoom(name, mayImport string) Room {
	r := Room{Name: strings.Trim(strings.TrimSpace(name), "`")}
	for word := range strings.SplitSeq(mayImport, ",") {
		switch word = strings.Trim(strings.TrimSpace(word), "`"); word {
		case "", "–", "-":
		case "all":
			r.All = true
		default:
			r.MayImport = append(r.MayImport, word)
		}
	}
	return r
}

// check refuses a table that contradicts itself: a room named twice, a room
// that may import one that is not in the table, or a circle.
func (rooms Rooms) check() error {
	byName := map[string]Room{}
	for _, r := range rooms {
		if _, ok := byName[r.Name]; ok {
			return fmt.Errorf("ARCHITECTURE.md, Rooms: %s has two rows", r.Name)
		}
		byName[r.Name] = r
	}
	const open, closed = 1, 2
	state := map[string]int{}
	var visit func(r Room, trail []string) error
	visit = func(r Room, trail []string) error {
		trail = append(trail, r.Name)
		state[r.Name] = open
		for _, name := range r.MayImport {
			next, ok := byName[name]
			switch {
			case !ok:
				return fmt.Errorf("ARCHITECTURE.md, Rooms: %s may import %s, which has no row", r.Name, name)
			case state[name] == open:
				return fmt.Errorf("ARCHITECTURE.md, Rooms: a circle: %s → %s", strings.Join(trail, " → "), name)
			case state[name] == closed:
				continue
			}
			if err := visit(next, trail); err != nil {
				return err
			}
		}
		state[r.Name] = closed
		return nil
	}
	for _, r := range rooms {
		if state[r.Name] == closed {
			continue
		}
		if err := visit(r, nil); err != nil {
			return err
		}
	}
	return nil
}

// Of finds the room of a package: its own row, or else the nearest row with
// "/…" that covers it.
func (rooms Rooms) Of(pkg string) (Room, bool) {
	for _, r := range rooms {
		if r.Name == pkg {
			return r, true
		}
	}
	for dir := pkg; dir != "."; dir = path.Dir(dir) {
		for _, r := range rooms {
			if r.Name == dir+"/…" {
				return r, true
			}
		}
	}
	return Room{}, false
}

func (r Room) may(other Room) bool {
	if r.All && !strings.HasPrefix(other.Name, "internal/") {
		return true
	}
	return slices.Contains(r.MayImport, other.Name)
}

func (r Room) String() string {
	list := r.MayImport
	if r.All {
		list = append([]string{"all rooms outside internal/"}, list...)
	}
	if len(list) == 0 {
		return r.Name + " may import none of our packages"
	}
	return r.Name + " may import only " + strings.Join(list, ", ")
}

// Layers compares the imports among the packages of a module with the import
// table. Test files may import what they like: the compiler keeps them from
// going round in circles.
func Layers(t *Tree, module string, rooms Rooms) []Finding {
	var out []Finding
	missing := map[string]bool{}
	for _, f := range t.Files {
		if !f.IsProduct() {
			continue
		}
		from, ok := rooms.Of(f.Dir())
		if !ok {
			if !missing[f.Dir()] {
				out = append(out, Finding{f.Path, "package " + f.Dir() + " is not in the table of ARCHITECTURE.md, Rooms",
					"Move it into a room that is there, or add a row: what it owns and what it may import"})
			}
			missing[f.Dir()] = true
			continue
		}
		for _, spec := range f.Syntax.Imports {
			pkg, ok := ownPackage(spec.Path.Value, module)
			if !ok {
				continue
			}
			to, known := rooms.Of(pkg)
			if known && from.may(to) {
				continue
			}
			out = append(out, Finding{t.at(spec), f.Dir() + " imports " + pkg + "; " + from.String() + "; see ARCHITECTURE.md, Rooms",
				"Let the caller hand in what is needed, or move the code to the room that owns it"})
		}
	}
	return out
}

// ownPackage turns the literal of an import into a package of the module as
// the import table names it.
func ownPackage(literal, module string) (string, bool) {
	p, err := strconv.Unquote(literal)
	switch {
	case err != nil:
		return "", false
	case p == module:
		return ".", true
	}
	return strings.CutPrefix(p, module+"/")
}
