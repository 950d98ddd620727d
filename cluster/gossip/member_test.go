package gossip

import (
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
)

func TestCardsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	written := card{
		Format:   format,
		Instance: "db <1> \u00e9",
		Meta:     Meta{Role: "node", Actors: "10.0.0.1:7947", API: "10.0.0.1:4000", Version: "v1.2.3"},
		Leaving:  true,
	}
	encoded, err := written.encode()
	if err != nil {
		t.Fatal(err)
	}
	if read, err := decode(encoded); err != nil || read != written {
		t.Errorf("%s is read as %+v, %v", encoded, read, err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, encoded, wrong string }{
		{"the least", `{"v":1}`, ""},
		{"fields of a later version", `{"v":1,"role":"node","mood":{"good":true}}`, ""},
		{"a format of a later version", `{"v":2}`, "format 2, expected at most 1"},
		{"no format", `{}`, "format 0"},
		{"nothing", ``, `metadata ""`},
		{"garbage", "\x00\xff", `metadata "\x00\xff"`},
		{"another type", `{"v":1,"role":7}`, "cannot unmarshal"},
		{"more than one", `{"v":1}{"v":1}`, "after top-level value"},
	}
	for _, test := range tests {
		_, err := decode([]byte(test.encoded))
		if test.wrong == "" && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%s: error %v, want %q in it", test.name, err, test.wrong)
		}
	}
}

// A card that may be announced may be announced as leaving, too.
func TestEncodeLeavesRoomToLeave(t *testing.T) {
	t.Parallel()
	for length := 0; ; length++ {
		c := card{Instance: strings.Repeat("i", length)}
		if _, err := c.encode(); err != nil {
			if length < 400 {
				t.Errorf("an instance of %d bytes is refused: %v", length, err)
			}
			return
		}
		c.Leaving = true
		if encoded, err := c.encode(); err != nil || len(encoded) > memberlist.MetaMaxSize {
			t.Fatalf("an instance of %d bytes may join and not leave: %d bytes, %v", length, len(encoded), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"instance":"a","role":"node","actors":"a:1","api":"a:2","version":"v1","leaving":true}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		read, err := decode(encoded)
		if err != nil {
			return
		}
		again, err := read.encode()
		if err != nil {
			return // it grew too large, by what JSON escapes
		}
		if twice, err := decode(again); err != nil || twice != read {
			t.Errorf("%s is read as %+v, and then as %+v, %v", encoded, read, twice, err)
		}
	})
}
