package workflow

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Every attempt of a step works on a fresh copy of the last checkpoint. Making
// it by encoding and decoding JSON costs more than all else in a step, so
// plain types are copied field by field, to the same result: fields that JSON
// does not carry come out zero. Types with a JSON form of their own go through
// JSON, and so do the few values of plain types that JSON changes or refuses.

// copier returns the function that copies an S.
func copier[S any]() func(*S) (*S, error) {
	throughJSON := func(s *S) (*S, error) {
		document, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		return decodeState[S](document)
	}
	switch clone, form := clonerOf(reflect.TypeFor[S](), map[reflect.Type]bool{}); form {
	case flat:
		return func(s *S) (*S, error) {
			c := *s
			return &c, nil
		}
	case deep:
		return func(s *S) (*S, error) {
			c := new(S)
			if clone(reflect.ValueOf(c).Elem(), reflect.ValueOf(s).Elem()) {
				return c, nil
			}
			return throughJSON(s)
		}
	default:
		return throughJSON
	}
}

// cloner copies src to dst, which is addressable and zero. It gives up with
// false on a value that JSON changes or refuses.
type cloner func(dst, src reflect.Value) bool

// form says how the values of a type can be copied.
type form int

const (
	flat   form = iota // by assignment
	deep               // by a cloner
	opaque             // only through JSON
)

func assign(dst, src reflect.Value) bool {
	dst.Set(src)
	return true
}

type zeroer interface{ IsZero() bool }

var (
	timeType      = reflect.TypeFor[time.Time]()
	numberType    = reflect.TypeFor[json.Number]()
	zeroerType    = reflect.TypeFor[zeroer]()
	customFormats = []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

func hasCustomFormat(typ reflect.Type) bool {
	if typ.Kind() == reflect.Pointer && typ.Elem() == timeType {
		return false // it has time.Time's methods
	}
	return typ == numberType || slices.ContainsFunc(customFormats, func(format reflect.Type) bool {
		return implements(typ, format)
	})
}

// implements reports whether a typ or a pointer to one has the methods.
func implements(typ, methods reflect.Type) bool {
	return typ.Implements(methods) || reflect.PointerTo(typ).Implements(methods)
}

// clonerOf works out how to copy a typ. open holds the types around it: one
// that contains itself may hold a cycle, which JSON reports and a cloner would
// follow for ever.
func clonerOf(typ reflect.Type, open map[reflect.Type]bool) (cloner, form) {
	if typ == timeType {
		return cloneTime, deep
	}
	if open[typ] || hasCustomFormat(typ) {
		return nil, opaque
	}
	open[typ] = true
	defer delete(open, typ)
	switch typ.Kind() {
	case reflect.Bool,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return assign, flat
	case reflect.String:
		return cloneString, deep
	case reflect.Float32, reflect.Float64:
		return cloneFloat, deep
	case reflect.Struct:
		return structCloner(typ, open)
	case reflect.Slice:
		return sliceCloner(typ, open)
	case reflect.Array:
		return arrayCloner(typ, open)
	case reflect.Map:
		return mapCloner(typ, open)
	case reflect.Pointer:
		return pointerCloner(typ, open)
	default:
		return nil, opaque
	}
}

// cloneString gives up on text that is not UTF-8, which JSON mends.
func cloneString(dst, src reflect.Value) bool {
	text := src.String()
	if !utf8.ValidString(text) {
		return false
	}
	dst.SetString(text)
	return true
}

func cloneFloat(dst, src reflect.Value) bool {
	f := src.Float()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return false
	}
	dst.SetFloat(f)
	return true
}

// cloneTime drops the monotonic reading and the name of the zone, as JSON does.
func cloneTime(dst, src reflect.Value) bool {
	moment := src.Interface().(time.Time)
	copied := dst.Addr().Interface().(*time.Time)
	if _, offset := moment.Zone(); offset == 0 && 0 <= moment.Year() && moment.Year() <= 9999 {
		*copied = moment.UTC()
		return true
	}
	if moment.IsZero() { // "omitzero" drops it, with its zone
		return false
	}
	text, err := moment.MarshalText()
	return err == nil && copied.UnmarshalText(text) == nil
}

func structCloner(typ reflect.Type, open map[reflect.Type]bool) (cloner, form) {
	type fieldCloner struct {
		index     int
		clone     cloner
		omitEmpty bool
	}
	var fields []fieldCloner
	whole := flat
	names := map[string]bool{}
	for i := range typ.NumField() {
		field := typ.Field(i)
		tag := field.Tag.Get("json")
		if field.Anonymous {
			return nil, opaque // promotion has rules of its own
		}
		if !field.IsExported() || tag == "-" {
			whole = deep // dropped
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = field.Name
		}
		if names[name] {
			return nil, opaque // JSON drops fields of one name
		}
		names[name] = true
		if hasOption(options, "omitzero") && field.Type != timeType && implements(field.Type, zeroerType) {
			return nil, opaque // the type says itself what is zero
		}
		clone, kind := clonerOf(field.Type, open)
		if kind == opaque {
			return nil, opaque
		}
		whole = max(whole, kind)
		fields = append(fields, fieldCloner{i, clone, hasOption(options, "omitempty")})
	}
	if whole == flat {
		return assign, flat
	}
	return func(dst, src reflect.Value) bool {
		for _, field := range fields {
			value := src.Field(field.index)
			if field.omitEmpty && isEmptyCollection(value) {
				continue
			}
			if !field.clone(dst.Field(field.index), value) {
				return false
			}
		}
		return true
	}, deep
}

func hasOption(options, name string) bool {
	return slices.Contains(strings.Split(options, ","), name)
}

func isEmptyCollection(value reflect.Value) bool {
	kind := value.Kind()
	return (kind == reflect.Slice || kind == reflect.Map) && value.Len() == 0
}

func sliceCloner(typ reflect.Type, open map[reflect.Type]bool) (cloner, form) {
	element, kind := clonerOf(typ.Elem(), open)
	if kind == opaque {
		return nil, opaque
	}
	return func(dst, src reflect.Value) bool {
		if src.IsNil() {
			return true
		}
		dst.Set(reflect.MakeSlice(typ, src.Len(), src.Len()))
		if kind == flat {
			reflect.Copy(dst, src)
			return true
		}
		return cloneElements(dst, src, element)
	}, deep
}

func arrayCloner(typ reflect.Type, open map[reflect.Type]bool) (cloner, form) {
	element, kind := clonerOf(typ.Elem(), open)
	if kind != deep {
		return assign, kind
	}
	return func(dst, src reflect.Value) bool { return cloneElements(dst, src, element) }, deep
}

func cloneElements(dst, src reflect.Value, element cloner) bool {
	for i := range src.Len() {
		if !element(dst.Index(i), src.Index(i)) {
			return false
		}
	}
	return true
}

// mapCloner relies on [unencodable]: keys without a format of their own are
// strings or integers.
func mapCloner(typ reflect.Type, open map[reflect.Type]bool) (cloner, form) {
	element, kind := clonerOf(typ.Elem(), open)
	if kind == opaque || hasCustomFormat(typ.Key()) {
		return nil, opaque
	}
	return func(dst, src reflect.Value) bool {
		if src.IsNil() {
			return true
		}
		dst.Set(reflect.MakeMapWithSize(typ, src.Len()))
		for entries := src.MapRange(); entries.Next(); {
			key, value := entries.Key(), reflect.New(typ.Elem()).Elem()
			if key.Kind() == reflect.String && !utf8.ValidString(key.String()) || !element(value, entries.Value()) {
				return false
			}
			dst.SetMapIndex(key, value)
		}
		return true
	}, deep
}

func pointerCloner(typ reflect.Type, open map[reflect.Type]bool) (cloner, form) {
	switch typ.Elem().Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return nil, opaque // a nil inside becomes a nil outside
	}
	element, kind := clonerOf(typ.Elem(), open)
	if kind == opaque {
		return nil, opaque
	}
	return func(dst, src reflect.Value) bool {
		if src.IsNil() {
			return true
		}
		dst.Set(reflect.New(typ.Elem()))
		return element(dst.Elem(), src.Elem())
	}, deep
}

// mustEncode panics when JSON cannot carry a T, there and back.
func mustEncode[T any](workflow string) {
	typ := reflect.TypeFor[T]()
	if path, bad := unencodable(typ, typ.String(), map[reflect.Type]bool{}); bad {
		panic(fmt.Sprintf("workflow %s: JSON cannot carry %s; inputs, states and outputs are plain JSON", workflow, path))
	}
}

// unencodable looks for a part of typ that JSON cannot write, or not read back.
func unencodable(typ reflect.Type, path string, seen map[reflect.Type]bool) (string, bool) {
	if seen[typ] || hasCustomFormat(typ) {
		return "", false
	}
	seen[typ] = true
	switch typ.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Sprintf("%s (a %s)", path, typ.Kind()), true
	case reflect.Interface:
		if typ.NumMethod() > 0 {
			return fmt.Sprintf("%s (an interface, %s)", path, typ), true
		}
	case reflect.Map:
		if !encodableKey(typ.Key()) {
			return fmt.Sprintf("%s (a map by %s)", path, typ.Key()), true
		}
		return unencodable(typ.Elem(), path, seen)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return unencodable(typ.Elem(), path, seen)
	case reflect.Struct:
		for field := range typ.Fields() {
			if field.Tag.Get("json") == "-" || !field.IsExported() && !isEmbeddedStruct(field) {
				continue
			}
			if inner, bad := unencodable(field.Type, path+"."+field.Name, seen); bad {
				return inner, true
			}
		}
	}
	return "", false
}

func encodableKey(typ reflect.Type) bool {
	switch typ.Kind() {
	case reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	default:
		return typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()) &&
			reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	}
}

// isEmbeddedStruct reports whether field may promote fields to JSON although
// its own name is not exported.
func isEmbeddedStruct(field reflect.StructField) bool {
	typ := field.Type
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	return field.Anonymous && typ.Kind() == reflect.Struct
}
