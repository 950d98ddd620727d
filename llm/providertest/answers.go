package providertest

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"singularity/llm"
)

func testAnswer(t *testing.T, p Protocol) {
	var asked Asked
	provider := p.provider(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var err error
		if asked, err = p.Asked(r, body); err != nil {
			t.Error(err)
		}
		asked.Key = keyIn(r.Header)
		sendEvents(w, p.Begin, p.Thought, p.Text("Hel"), p.Text("lo"), p.End(llm.Stopped, p.Counted))
	})
	if provider.Name() != p.Name {
		t.Errorf("is called %s, expected %s", provider.Name(), p.Name)
	}

	var pieces []string
	response, err := provider.Complete(t.Context(), llm.Request{
		Model: p.Model, TaskType: "chat", Key: "run/step", Attempt: 2, MaxTokens: 777,
		Messages: []llm.Message{
			{Role: llm.System, Content: "be brief"},
			{Role: llm.Developer, Content: "be kind"},
			{Role: llm.User, Content: "hi"},
			{Role: llm.Assistant, Content: "hi!"},
			{Role: llm.User, Content: "hello?"},
		},
		OnText: func(delta string) { pieces = append(pieces, delta) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if response.Text != "Hello" || response.Finish != llm.Stopped || response.Usage != p.Counted {
		t.Errorf("%+v, expected Hello, stopped, and the usage %+v", response, p.Counted)
	}
	if !strings.HasPrefix(response.Model, p.Model) {
		t.Errorf("answered by %q, expected a release of %s", response.Model, p.Model)
	}
	if want := []string{"Hel", "lo"}; !reflect.DeepEqual(pieces, want) {
		t.Errorf("pieces %q, expected %q", pieces, want)
	}
	want := Asked{
		Key: testKey, Model: p.Model, MaxTokens: 777, System: []string{"be brief", "be kind"},
		Turns: []llm.Message{{Role: llm.User, Content: "hi"}, {Role: llm.Assistant, Content: "hi!"}, {Role: llm.User, Content: "hello?"}},
	}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %+v, expected %+v", asked, want)
	}
}

// A conversation may begin with nothing but instructions; a server wants more.
func testInstructions(t *testing.T, p Protocol) {
	var asked Asked
	provider := p.provider(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var err error
		if asked, err = p.Asked(r, body); err != nil {
			t.Error(err)
		}
		sendEvents(w, p.Begin, p.Text("Hi"), p.End(llm.Stopped, p.Counted))
	})
	_, err := provider.Complete(t.Context(), llm.Request{Model: p.Model, Messages: []llm.Message{{Role: llm.System, Content: "say hi"}}})
	if err != nil {
		t.Fatal(err)
	}
	said := append([]string(nil), asked.System...)
	for _, turn := range asked.Turns {
		said = append(said, turn.Content)
	}
	if !reflect.DeepEqual(said, []string{"say hi"}) {
		t.Errorf("asked %+v, expected the instruction once", asked)
	}
}

func testEnds(t *testing.T, p Protocol) {
	unclear := map[string]struct {
		handler http.HandlerFunc
		want    llm.Response
		class   llm.Class
		reason  string
	}{
		"at the model's limit": {
			handler: Stream(p.Begin, p.Text("Hel"), p.End(llm.CutShort, p.Counted)),
			want:    llm.Response{Text: "Hel", Finish: llm.CutShort, Usage: p.Counted},
		},
		"without usage": {
			handler: Stream(p.Text("Hel"), p.End(llm.Stopped, llm.Usage{})),
			want:    llm.Response{Text: "Hel", Finish: llm.Stopped},
		},
		"with nothing said": {
			handler: Stream(p.Begin, p.End(llm.Stopped, p.Counted)),
			want:    llm.Response{Finish: llm.Stopped, Usage: p.Counted},
		},
		"with a refusal": {
			handler: Stream(p.Begin, p.Refused("I cannot help with that.", p.Counted)),
			want:    llm.Response{Usage: p.Counted},
			class:   llm.Content, reason: "the model refused to answer: I cannot help with that.",
		},
		"before the finish": {
			handler: Stream(p.Begin, p.Text("Hel")),
			class:   llm.Unknown, reason: "ended before the model had finished",
		},
		"before anything": {
			handler: Stream(),
			class:   llm.Unknown, reason: "ended before the model had finished",
		},
		"with the connection": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				sendEvents(w, p.Begin, p.Text("Hel"))
				panic(http.ErrAbortHandler)
			},
			class: llm.Unknown, reason: "unexpected EOF",
		},
		"with the connection, in an event": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				event := p.Text("lo")
				sendEvents(w, p.Begin, p.Text("Hel"), event[:len(event)/2])
				panic(http.ErrAbortHandler)
			},
			class: llm.Unknown, reason: "unexpected EOF",
		},
		"with an error": {
			handler: Stream(p.Begin, p.Text("Hel"), p.Fault("the server is on fire")),
			class:   llm.Overload, reason: "the server is on fire",
		},
		"never": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				piece := p.Text(strings.Repeat("Hel", 10_000))
				for range llm.MaxText/30_000 + 1 {
					sendEvents(w, piece)
				}
			},
			class: llm.Content, reason: "longer than",
		},
	}
	for name, test := range unclear {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, err := p.provider(t, test.handler).Complete(t.Context(), p.question())
			if class := llm.ClassOf(err); class != test.class {
				t.Errorf("class %q, expected %q: %v", class, test.class, err)
			}
			if err != nil && !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%v, expected %q", err, test.reason)
			}
			if test.want.Usage.Known() && response.Usage != test.want.Usage {
				t.Errorf("usage %+v, expected %+v", response.Usage, test.want.Usage)
			}
			if err == nil && (response.Text != test.want.Text || response.Finish != test.want.Finish || response.Usage.Known() != test.want.Usage.Known()) {
				t.Errorf("%+v, expected %+v", response, test.want)
			}
		})
	}
	for _, event := range p.Garbage {
		t.Run("in garbage", func(t *testing.T) {
			t.Parallel()
			for _, events := range [][]string{{event}, {p.Begin, p.Text("Hel"), event}} {
				_, err := p.provider(t, Stream(events...)).Complete(t.Context(), p.question())
				if llm.ClassOf(err) != llm.Unknown {
					t.Errorf("%v after %q, expected class unknown", err, event)
				}
			}
		})
	}
}
