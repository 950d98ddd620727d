package workflow

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"time"
)

// TestCopyOfRandomShapes makes types and values at random. FuzzCopy goes on
// from there.
func TestCopyOfRandomShapes(t *testing.T) {
	t.Parallel()
	cloned, zones := 0, zones(t)
	const shapes = 3000
	for seed := range uint64(shapes) {
		if checkRandomShape(t, seed, zones) {
			cloned++
		}
	}
	if cloned < shapes/4 {
		t.Errorf("%d of %d shapes were copied without JSON: the test compares JSON with itself", cloned, shapes)
	}
}

func FuzzCopy(f *testing.F) {
	zones := zones(f)
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkRandomShape(t, seed, zones) })
}

// checkRandomShape reports whether the copy of seed's value was made by a
// cloner.
func checkRandomShape(t *testing.T, seed uint64, zones []*time.Location) bool {
	t.Helper()
	shape := &shaper{rand.New(rand.NewPCG(seed, 0)), zones}
	typ := shape.typ(4)
	src := reflect.New(typ).Elem()
	shape.fill(src, 4)

	clone, form := clonerOf(typ, map[reflect.Type]bool{})
	dst := reflect.New(typ).Elem()
	switch form {
	case flat:
		dst.Set(src)
	case deep:
		if !clone(dst, src) {
			return false
		}
	default:
		return false
	}

	want := reflect.New(typ)
	document, err := json.Marshal(src.Addr().Interface())
	if err == nil {
		err = json.Unmarshal(document, want.Interface())
	}
	switch {
	case err != nil:
		t.Errorf("seed %d: a %s was copied that JSON refuses: %v", seed, typ, err)
	case !reflect.DeepEqual(dst.Interface(), want.Elem().Interface()):
		t.Errorf("seed %d: copy of a %s is\n%#v, want\n%#v", seed, typ, dst, want.Elem())
	}
	if shared := sharedMemory(src, dst); shared != "" {
		t.Errorf("seed %d: copy and original of a %s share a %s", seed, typ, shared)
	}
	return true
}

// shaper makes types and values.
type shaper struct {
	*rand.Rand
	zones []*time.Location
}

var leaves = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[kind](), reflect.TypeFor[int](), reflect.TypeFor[int64](),
	reflect.TypeFor[uint8](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[[]byte](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[emptyBelow10](), reflect.TypeFor[tagged](),
}

var oddLeaves = []reflect.Type{
	reflect.TypeFor[json.Number](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any](), reflect.TypeFor[level](),
	reflect.TypeFor[embedding](), reflect.TypeFor[node](), reflect.TypeFor[RunID](),
}

var keyTypes = []reflect.Type{
	reflect.TypeFor[string](), reflect.TypeFor[kind](), reflect.TypeFor[int](), reflect.TypeFor[uint16](), reflect.TypeFor[RunID](),
}

func (s *shaper) typ(depth int) reflect.Type {
	if depth == 0 {
		if s.IntN(20) == 0 {
			return pick(s.Rand, oddLeaves)
		}
		return pick(s.Rand, leaves)
	}
	switch s.IntN(9) {
	case 0:
		return reflect.SliceOf(s.typ(depth - 1))
	case 1:
		return reflect.MapOf(pick(s.Rand, keyTypes), s.typ(depth-1))
	case 2:
		return reflect.PointerTo(s.typ(depth - 1))
	case 3:
		return reflect.ArrayOf(s.IntN(3), s.typ(depth-1))
	case 4, 5, 6:
		return s.structType(depth)
	default:
		return s.typ(0)
	}
}

func (s *shaper) structType(depth int) reflect.Type {
	tags := []reflect.StructTag{
		"", "", "", `json:"renamed"`, `json:"-"`, `json:"-,"`, `json:",omitempty"`, `json:"b,omitempty"`, `json:",omitzero"`,
		`json:",omitempty,omitzero"`, `json:",string"`, `json:"f0"`, `json:"F1"`,
	}
	fields := make([]reflect.StructField, s.IntN(5))
	for i := range fields {
		fields[i] = reflect.StructField{Name: "F" + strconv.Itoa(i), Type: s.typ(depth - 1), Tag: pick(s.Rand, tags)}
	}
	return reflect.StructOf(fields)
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// fill sets v to a random value, odd ones included.
func (s *shaper) fill(v reflect.Value, depth int) {
	rare := s.IntN(200) == 0
	switch v.Interface().(type) {
	case time.Time:
		seconds := []int64{0, -62135596800, 1_700_000_000, s.Int64N(1 << 33), math.MaxInt32 << 10}
		v.Set(reflect.ValueOf(time.Unix(seconds[s.IntN(4)+s.IntN(200)/199], s.Int64N(2)).In(pick(s.Rand, s.zones))))
		return
	case json.Number:
		v.SetString(pick(s.Rand, []string{"", "1", "-1e3"}))
		return
	case json.RawMessage:
		v.SetBytes([]byte(pick(s.Rand, []string{`null`, `{"a": 1}`, `7`})))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(s.IntN(2) == 0)
	case reflect.String:
		v.SetString(pick(s.Rand, []string{"", "a", "日本", "<\u2028>", strconv.Itoa(s.IntN(9))}))
		if rare {
			v.SetString("\xff" + v.String())
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(pick(s.Rand, []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 9, 10}))
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(pick(s.Rand, []uint64{0, 1, 255}))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(pick(s.Rand, []float64{0, math.Copysign(0, -1), 0.1, math.MaxFloat32, s.Float64()}))
		if rare {
			v.SetFloat(pick(s.Rand, []float64{math.NaN(), math.Inf(1), math.Inf(-1)}))
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"a": s.IntN(3)}))
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				s.fill(field, depth)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			s.fill(v.Index(i), depth)
		}
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if s.IntN(4) > 0 && depth > 0 { // else nil
			s.fillReference(v, depth-1)
		}
	}
}

func (s *shaper) fillReference(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		s.fill(v.Elem(), depth)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), s.IntN(4), 4))
		for i := range v.Len() {
			s.fill(v.Index(i), depth)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range s.IntN(4) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			s.fill(key, depth)
			s.fill(value, depth)
			v.SetMapIndex(key, value)
		}
	}
}
