package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // zones, whatever the machine has
	"unsafe"
)

// The copy of a state is defined by the JSON round trip: it must come to the
// same value or the same error, whatever the shape of the state.

// roundTrip is what a copy must equal.
func roundTrip[S any](s *S) (*S, error) {
	document, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return decodeState[S](document)
}

func sameAsJSON[S any](values ...S) func(*testing.T) {
	return func(t *testing.T) {
		t.Parallel()
		clone := copier[S]()
		for _, value := range values {
			want, wantErr := roundTrip(&value)
			got, err := clone(&value)
			switch {
			case fmt.Sprint(err) != fmt.Sprint(wantErr):
				t.Errorf("copy of %+v: error %v, want %v", value, err, wantErr)
			case err == nil && !reflect.DeepEqual(got, want):
				t.Errorf("copy of %+v is\n%#v, want\n%#v", value, got, want)
			}
		}
	}
}

type (
	flatShape struct {
		A int
		B bool
		C [3]uint8
		D struct{ E int64 }
	}
	collections struct {
		Strings []string
		Bytes   []byte
		Slices  [][]int
		Structs []flatShape
		Array   [2][]string
		ByName  map[string][]string
		ByInt   map[int]flatShape
		ByByte  map[uint8]*flatShape
		ByKind  map[kind]map[string]bool
	}
	kind     string
	pointers struct {
		Int    *int
		Text   *string
		Struct *collections
		Again  *int
		Slice  *[]int // &nil comes back as nil
		Map    *map[string]int
		Twice  **int
	}
	tagged struct {
		Renamed    int    `json:"renamed"`
		Dropped    string `json:"-"`
		Dash       string `json:"-,"`
		Quoted     int    `json:",string"`
		QuotedText string `json:",string"`
		unexported string
		Inner      struct {
			Kept    int
			Dropped []int `json:"-"`
		}
	}
	omitting struct {
		Slice     []int          `json:"slice,omitempty"`
		Map       map[string]int `json:",omitempty"`
		Text      string         `json:",omitempty"`
		Pointer   *int           `json:",omitempty"`
		Float     float64        `json:",omitempty"`
		ZeroSlice []int          `json:",omitzero"`
		ZeroFloat float64        `json:",omitzero"`
		ZeroInner flatShape      `json:",omitzero"`
		ZeroTime  time.Time      `json:",omitzero"`
		ZeroAt    *time.Time     `json:",omitzero"`
	}
	similar struct {
		C int
		D int `json:"c"` // differs from C by case only
	}
	embedding struct {
		flatShape
		*tagged
		Own int
		A   string // hides flatShape.A
	}
	node struct {
		Value    int
		Next     *node
		Children []node
		ByName   map[string]*node
	}
	formats struct {
		Raw     json.RawMessage
		Number  json.Number
		Any     any
		Addr    netip.Addr
		ByAddr  map[netip.Addr]int
		Big     big.Int
		Level   level
		Levels  []level
		Level2  *level
		RunID   RunID
		Elapsed time.Duration
	}
	withTimes struct {
		At   time.Time
		Ends *time.Time
		All  []time.Time
		By   map[string]time.Time
	}
	budget     struct{ Left emptyBelow10 }
	zeroByHand struct {
		N emptyBelow10 `json:",omitzero"`
	}
	emptyBelow10 int
)

func (n emptyBelow10) IsZero() bool { return n < 10 }

// level is a number in Go and a word in JSON, by its pointer's methods.
type level int

func (l *level) MarshalJSON() ([]byte, error) { return json.Marshal(strings.Repeat("!", int(*l))) }

func (l *level) UnmarshalJSON(document []byte) error {
	var marks string
	if err := json.Unmarshal(document, &marks); err != nil {
		return err
	}
	*l = level(len(marks))
	return nil
}

func TestCopyEqualsJSONRoundTrip(t *testing.T) {
	t.Parallel()
	one, text := 1, "text"
	var noSlice []int
	var noMap map[string]int
	var noInt *int
	cycle := &node{Value: 1}
	cycle.Next = cycle

	tests := []struct {
		name string
		test func(*testing.T)
	}{
		{"flat", sameAsJSON(flatShape{}, flatShape{1, true, [3]uint8{1, 2, 3}, struct{ E int64 }{math.MaxInt64}})},
		{"collections", sameAsJSON(collections{}, collections{
			Strings: []string{"a", "", "日本"}, Bytes: []byte{0, 255}, Slices: [][]int{nil, {}, {1}}, Structs: []flatShape{{A: 1}, {}},
			Array: [2][]string{{"a"}, nil}, ByName: map[string][]string{"": nil, "a": {}, "b": {"c"}}, ByInt: map[int]flatShape{-1: {A: 2}},
			ByByte: map[uint8]*flatShape{1: {A: 3}, 2: nil}, ByKind: map[kind]map[string]bool{"k": {"v": true}, "nil": nil},
		}, collections{Strings: []string{}, Bytes: []byte{}, ByName: map[string][]string{}})},
		{"pointers", sameAsJSON(pointers{}, pointers{Int: &one, Text: &text, Struct: &collections{Strings: []string{"a"}}, Again: &one},
			pointers{Slice: &noSlice, Map: &noMap, Twice: &noInt})},
		{"tags", sameAsJSON(tagged{1, "a", "b", 2, "c", "d", struct {
			Kept    int
			Dropped []int `json:"-"`
		}{1, []int{1}}})},
		{"omitempty and omitzero", sameAsJSON(omitting{}, omitting{Slice: []int{}, Map: map[string]int{}, ZeroSlice: []int{}},
			omitting{Float: math.Copysign(0, -1), ZeroFloat: math.Copysign(0, -1)},
			omitting{ZeroTime: time.Time{}.In(time.FixedZone("", 3600)), ZeroAt: &time.Time{}},
			omitting{Slice: []int{1}, Map: map[string]int{"a": 0}, Text: "a", Pointer: &one, Float: 1, ZeroInner: flatShape{A: 1}, ZeroTime: time.Unix(1, 0)})},
		{"omitzero by a method", sameAsJSON(zeroByHand{9}, zeroByHand{10})},
		{"a zero method without omitzero", sameAsJSON(budget{9})},
		{"names that differ by case", sameAsJSON(similar{1, 2})},
		{"embedded structs", sameAsJSON(embedding{}, embedding{flatShape: flatShape{A: 1, B: true}, Own: 2, A: "own"})},
		{"recursive types", sameAsJSON(node{}, node{Value: 1, Next: &node{Value: 2}, Children: []node{{Value: 3}}, ByName: map[string]*node{"a": nil}})},
		{"a cycle", sameAsJSON(*cycle)},
		{"formats of their own", sameAsJSON(formats{}, formats{
			Raw: json.RawMessage(`{"a": 1}`), Number: "1e3", Any: map[string]any{"a": []int{1}}, Addr: netip.MustParseAddr("::1"),
			ByAddr: map[netip.Addr]int{netip.MustParseAddr("10.0.0.1"): 1}, Big: *big.NewInt(42), Level: 3, Levels: []level{1, 2},
			Level2: new(level), RunID: NewRunID(), Elapsed: time.Second,
		}, formats{Raw: json.RawMessage(`{`)}, formats{Number: "x"}, formats{Any: func() {}})},
		{"an empty number", sameAsJSON(struct{ N json.Number }{})},
		{"times", sameAsJSON(timesIn(zones(t))...)},
		{"floats", sameAsJSON(struct {
			F float64
			G []float32
		}{math.Copysign(0, -1), []float32{math.MaxFloat32, math.SmallestNonzeroFloat32, 0.1}})},
		{"refused floats", sameAsJSON([]float64{math.NaN()}, []float64{math.Inf(1)}, []float64{1, math.Inf(-1)})},
		{"text that is not UTF-8", sameAsJSON("a\xffb\xc0\xafc", "\xed\xa0\x80", "\u2028<&>\x00")},
		{"keys that are not UTF-8", sameAsJSON(map[string]int{"\xff": 1, "\xfe": 2, "a": 3})},
		{"no struct", sameAsJSON([]string{"a"}, nil)},
		{"an interface", sameAsJSON[any](nil, 1, "a", map[string]any{"b": []any{1, nil}})},
		{"a pointer", sameAsJSON(nil, &flatShape{A: 1})},
		{"nothing", sameAsJSON(struct{}{})},
	}
	for _, test := range tests {
		t.Run(test.name, test.test)
	}
}

func zones(t testing.TB) []*time.Location {
	t.Helper()
	london, err := time.LoadLocation("Europe/London") // offset 0 for half of the year
	if err != nil {
		t.Fatal(err)
	}
	return []*time.Location{
		time.UTC, time.Local, london, time.FixedZone("zero", 0), time.FixedZone("", -5*3600), time.FixedZone("", 5*3600+1800),
		time.FixedZone("seconds", 3601), time.FixedZone("a day", 24*3600), time.FixedZone("under a minute", 59),
	}
}

func timesIn(zones []*time.Location) []withTimes {
	var values []withTimes
	for _, zone := range zones {
		for _, at := range []time.Time{
			time.Now(), {}, time.Unix(0, 1), time.Unix(1_700_000_000, 123_456_789), time.Unix(1_720_000_000, 0),
			time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		} {
			at := at.In(zone)
			values = append(values, withTimes{at, &at, []time.Time{at}, map[string]time.Time{"a": at}})
		}
	}
	return append(values, withTimes{At: time.Now()})
}

func TestCopyOfPlainTypesAvoidsJSON(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[flatShape](), reflect.TypeFor[collections](), reflect.TypeFor[tagged](), reflect.TypeFor[withTimes](),
	} {
		if _, form := clonerOf(typ, map[reflect.Type]bool{}); form == opaque {
			t.Errorf("%s goes through JSON", typ)
		}
	}
}

func TestCopySharesNoMemory(t *testing.T) {
	t.Parallel()
	one, text := 1, "text"
	original := &pointers{Int: &one, Text: &text, Again: &one, Struct: &collections{
		Strings: []string{"a", "b"}, Bytes: []byte("bytes"), Slices: [][]int{{1}}, Structs: []flatShape{{A: 1}}, Array: [2][]string{{"a"}, {"b"}},
		ByName: map[string][]string{"a": {"b"}}, ByByte: map[uint8]*flatShape{1: {A: 1}}, ByKind: map[kind]map[string]bool{"a": {"b": true}},
	}}
	before, err := json.Marshal(original)
	if err != nil {
		t.Fatal(err)
	}
	for name, clone := range map[string]func(*pointers) (*pointers, error){
		"through JSON": copier[pointers](),
		"by a cloner": func(p *pointers) (*pointers, error) {
			c, err := copier[collections]()(p.Struct)
			return &pointers{Struct: c}, err
		},
	} {
		copied, err := clone(original)
		if err != nil {
			t.Fatal(err)
		}
		if shared := sharedMemory(reflect.ValueOf(original), reflect.ValueOf(copied)); shared != "" {
			t.Errorf("%s: copy and original share a %s", name, shared)
		}
		c := copied.Struct
		c.Strings[0], c.Bytes[0], c.Slices[0][0], c.Structs[0].A, c.Array[1][0] = "changed", 'x', 7, 7, "changed"
		c.ByName["a"][0], c.ByByte[1].A, c.ByKind["a"]["b"] = "changed", 7, false
		c.ByName["new"] = nil
		delete(c.ByKind, "a")
	}
	if after, _ := json.Marshal(original); string(after) != string(before) {
		t.Errorf("changing a copy changed the original:\n%s\n%s", before, after)
	}
}

// sharedMemory names what two values both reach: a pointer, a slice or a map.
func sharedMemory(a, b reflect.Value) (shared string) {
	seen := map[unsafe.Pointer]bool{}
	reach(a, func(at unsafe.Pointer, _ reflect.Type) { seen[at] = true })
	reach(b, func(at unsafe.Pointer, typ reflect.Type) {
		if seen[at] {
			shared = typ.String()
		}
	})
	return shared
}

func reach(v reflect.Value, visit func(unsafe.Pointer, reflect.Type)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && v.Type().Elem().Size() > 0 {
			visit(v.UnsafePointer(), v.Type())
		}
		if !v.IsNil() {
			reach(v.Elem(), visit)
		}
	case reflect.Interface:
		reach(v.Elem(), visit)
	case reflect.Slice:
		if v.Len() > 0 && v.Type().Elem().Size() > 0 {
			visit(v.UnsafePointer(), v.Type())
		}
		for i := range v.Len() {
			reach(v.Index(i), visit)
		}
	case reflect.Array:
		for i := range v.Len() {
			reach(v.Index(i), visit)
		}
	case reflect.Map:
		if !v.IsNil() {
			visit(v.UnsafePointer(), v.Type())
		}
		for entries := v.MapRange(); entries.Next(); {
			reach(entries.Value(), visit)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return // its zone is shared, and never changes
		}
		for _, field := range v.Fields() {
			reach(field, visit)
		}
	}
}

func TestStatesThatJSONCannotCarryPanicByTheirPath(t *testing.T) {
	t.Parallel()
	type inner struct{ Done chan int }
	type outer struct {
		Name  string
		Items []map[string]*inner
	}
	type Channels struct{ C chan int }
	type promoting struct{ *Channels }
	type quiet chan int
	type hidden struct {
		quiet
		Skipped func() `json:"-"`
		private chan int
		Fine    any
	}
	tests := []struct {
		name   string
		define func()
		want   string // empty: no panic
	}{
		{"a channel", func() { mustEncode[chan int]("w") }, "chan int (a chan)"},
		{"deep inside", func() { mustEncode[outer]("w") }, "workflow.outer.Items.Done (a chan)"},
		{"a function", func() { mustEncode[struct{ F func() }]("w") }, "F (a func)"},
		{"a complex number", func() { mustEncode[struct{ C [2]complex64 }]("w") }, "C (a complex64)"},
		{"a map by bool", func() { mustEncode[struct{ M map[bool]int }]("w") }, "M (a map by bool)"},
		{"a map by array", func() { mustEncode[struct{ M map[[2]int]int }]("w") }, "M (a map by [2]int)"},
		{"a map by struct", func() { mustEncode[struct{ M map[flatShape]int }]("w") }, "M (a map by workflow.flatShape)"},
		{"an error", func() { mustEncode[struct{ Err error }]("w") }, "Err (an interface, error)"},
		{"a promoted channel", func() { mustEncode[promoting]("w") }, "Channels.C (a chan)"},
		{"fields that JSON skips", func() { mustEncode[hidden]("w") }, ""},
		{"a map by a text format", func() { mustEncode[map[RunID]int]("w") }, ""},
		{"a recursive type", func() { mustEncode[node]("w") }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				message := fmt.Sprint(recover())
				if test.want == "" && message != "<nil>" || !strings.Contains(message, test.want) {
					t.Errorf("panic: %s; want it to name %q", message, test.want)
				}
			}()
			test.define()
		})
	}
}

func TestCopyKeepsTheErrorOfAFormat(t *testing.T) {
	t.Parallel()
	_, err := copier[failing]()(&failing{})
	if !errors.Is(err, errFormat) {
		t.Errorf("copy of a type whose MarshalJSON fails: %v", err)
	}
}

var errFormat = errors.New("no form")

type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errFormat }

// The states of the benchmark: a request, and an agent's with some turns.
type (
	request struct {
		ID       string    `json:"id"`
		Model    string    `json:"model"`
		Prompt   string    `json:"prompt"`
		Tokens   int       `json:"tokens"`
		Cost     float64   `json:"cost"`
		Accepted time.Time `json:"accepted_at"`
	}
	dialogue struct {
		Request request           `json:"request"`
		Turns   []turn            `json:"turns"`
		Tags    []string          `json:"tags,omitempty"`
		Labels  map[string]string `json:"labels"`
		Ended   *time.Time        `json:"ended_at,omitempty"`
	}
	turn struct {
		Role   string `json:"role"`
		Text   string `json:"text"`
		Tokens int    `json:"tokens"`
	}
)

func BenchmarkCopy(b *testing.B) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	small := request{"0195a3f2", "claude-sonnet", "Summarize the incident report of last night.", 412, 0.42, at}
	large := dialogue{Request: small, Tags: []string{"incident", "night"}, Labels: map[string]string{"team": "storage", "region": "eu-1"}}
	for range 6 {
		large.Turns = append(large.Turns, turn{"assistant", "The disk of node 7 filled up at 02:14; the writers stopped, and nothing was lost.", 20})
	}
	b.Run("170B", func(b *testing.B) { benchmarkCopy(b, small, 170) })
	b.Run("1kB", func(b *testing.B) { benchmarkCopy(b, large, 1000) })
}

func benchmarkCopy[S any](b *testing.B, state S, size int) {
	if document, err := json.Marshal(state); err != nil || len(document) < size*9/10 || len(document) > size*11/10 {
		b.Fatalf("the state has %d bytes, want about %d; %v", len(document), size, err)
	}
	for name, clone := range map[string]func(*S) (*S, error){"copy": copier[S](), "json": roundTrip[S]} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := clone(&state); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
