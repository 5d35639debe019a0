package protocol

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// jsonField is one field of a struct as JSON sees it.
type jsonField struct {
	name      string
	index     []int // for reflect's FieldByIndex: fields of embedded structs count as the outer one's
	omitEmpty bool
}

// jsonFields are the fields of a struct, sorted by name because fastjson writes them so.
type jsonFields struct {
	sorted []jsonField
	byName map[string]*jsonField
}

// jsonTypes caches jsonFields by reflect.Type: as many entries as the program has body types.
var jsonTypes sync.Map

func jsonFieldsOf(t reflect.Type) *jsonFields {
	if known, ok := jsonTypes.Load(t); ok {
		return known.(*jsonFields)
	}
	f := &jsonFields{byName: make(map[string]*jsonField)}
	f.collect(t, nil)
	slices.SortFunc(f.sorted, func(a, b jsonField) int { return strings.Compare(a.name, b.name) })
	for i := range f.sorted {
		f.byName[f.sorted[i].name] = &f.sorted[i]
	}
	known, _ := jsonTypes.LoadOrStore(t, f)
	return known.(*jsonFields)
}

// collect adds t's fields: its own before those of embedded structs, so that an outer name hides an inner one.
func (f *jsonFields) collect(t reflect.Type, at []int) {
	var embedded []reflect.StructField
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct:
			embedded = append(embedded, field)
			continue
		case !field.IsExported() || name == "-":
			continue
		case name == "":
			name = field.Name
		}
		if f.has(name) {
			continue
		}
		f.sorted = append(f.sorted, jsonField{
			name:      name,
			index:     append(slices.Clone(at), i),
			omitEmpty: strings.Contains(options, "omit"),
		})
	}
	for _, field := range embedded {
		f.collect(field.Type, append(slices.Clone(at), field.Index...))
	}
}

func (f *jsonFields) has(name string) bool {
	return slices.ContainsFunc(f.sorted, func(g jsonField) bool { return g.name == name })
}

// find gives the field called name, or failing that the one that differs in case only, as fastjson's smart match does.
func (f *jsonFields) find(name []byte) *jsonField {
	if field, ok := f.byName[string(name)]; ok {
		return field
	}
	for i := range f.sorted {
		if bytes.EqualFold([]byte(f.sorted[i].name), name) {
			return &f.sorted[i]
		}
	}
	return nil
}
