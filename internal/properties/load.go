package properties

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Warning is something in a file that has no effect, and why.
type Warning struct {
	File   string
	Line   int
	Key    string
	Remark string
}

func (w Warning) String() string {
	return (&Error{File: w.File, Line: w.Line, Key: w.Key, Reason: w.Remark}).Error()
}

// Load parses a file and sets the fields of the targets, pointers to structs, that its keys name. More than one target may
// have the same key. The error joins an *Error for each line that is wrong.
func Load(file string, data []byte, targets ...any) ([]Warning, error) {
	entries, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	var warnings []Warning
	var faults []error
	lines := make(map[string]int)
	for _, e := range entries {
		known := false
		for _, target := range targets {
			has, err := Set(target, e.Key, e.Value)
			known = known || has
			if err != nil {
				faults = append(faults, &Error{File: file, Line: e.Line, Key: e.Key, Reason: err.Error()})
			}
		}
		warn := func(remark string) {
			warnings = append(warnings, Warning{File: file, Line: e.Line, Key: e.Key, Remark: remark})
		}
		if before := lines[e.Key]; before > 0 {
			warn(fmt.Sprintf("is set in line %d already; this line counts", before))
		}
		lines[e.Key] = e.Line
		if !known {
			warn(remarkOn(e.Key, targets))
		}
	}
	return warnings, errors.Join(faults...)
}

// Set gives the field that the key names a value, and says whether there is such a field. The error says why the value is
// none of it.
func Set(target any, key, value string) (known bool, err error) {
	eachField(reflect.ValueOf(target).Elem(), func(name string, field reflect.Value) {
		if name == key {
			known, err = true, setField(field, strings.TrimSpace(value))
		}
	})
	return known, err
}

// Entries gives all settings of a struct, sorted by key. It may be a pointer or not.
func Entries(target any) []Entry {
	var entries []Entry
	eachField(reflect.Indirect(reflect.ValueOf(target)), func(name string, field reflect.Value) {
		entries = append(entries, Entry{Key: name, Value: fmt.Sprint(field.Interface())})
	})
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries
}

func eachField(v reflect.Value, visit func(key string, field reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch key := field.Tag.Get("property"); {
		case key != "":
			visit(key, v.Field(i))
		case field.Anonymous && field.Type.Kind() == reflect.Struct:
			eachField(v.Field(i), visit)
		}
	}
}

func setField(field reflect.Value, text string) error {
	switch {
	case field.Kind() == reflect.String:
		field.SetString(text)
	case field.Kind() == reflect.Bool:
		switch {
		case strings.EqualFold(text, "true"):
			field.SetBool(true)
		case strings.EqualFold(text, "false"):
			field.SetBool(false)
		default:
			return fmt.Errorf("%q is neither true nor false", text)
		}
	case field.CanInt():
		n, err := strconv.ParseInt(text, 10, field.Type().Bits())
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("%s is out of range", text)
		} else if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		field.SetInt(n)
	case field.CanFloat():
		f, err := strconv.ParseFloat(text, field.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no number", text)
		}
		field.SetFloat(f)
	default:
		return fmt.Errorf("a %s cannot be set", field.Type())
	}
	return nil
}

// remarkOn says what is to be known of a key that no target has.
func remarkOn(key string, targets []any) string {
	if remark := remarkOnRocketMQKey(key); remark != "" {
		return remark
	}
	var known []string
	for _, target := range targets {
		for _, e := range Entries(target) {
			known = append(known, e.Key)
		}
	}
	if near := nearest(key, known); near != "" {
		return "is unknown and has no effect; did you mean " + near + "?"
	}
	return "is unknown and has no effect"
}

// nearest gives the known key that takes the fewest edits to reach, if these are few.
func nearest(key string, known []string) string {
	best, bestEdits := "", len(key)/3+1
	for _, candidate := range known {
		if edits := distance(strings.ToLower(key), strings.ToLower(candidate)); edits < bestEdits {
			best, bestEdits = candidate, edits
		}
	}
	return best
}

// distance is Levenshtein's. A key from a file may be long, so what is too long to be near is not compared.
func distance(a, b string) int {
	if gap := max(len(a), len(b)) - min(len(a), len(b)); gap > len(b)/2 {
		return gap
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			edits := diagonal
			if a[i] != b[j] {
				edits = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], edits
		}
	}
	return row[len(b)]
}
