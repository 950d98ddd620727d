package stdio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"singularity/centralcloud/stdio"
)

const hello = `{"type":"hello","arms":[{"model":"big","provider":"p","usd_per_mtok_in":1,"usd_per_mtok_out":4},` +
	`{"model":"small","provider":"q","usd_per_mtok_in":0.1,"usd_per_mtok_out":0.4}],"task_types":["math"],"buckets":3,` +
	`"strong":"big","delta":0.03,"cost_weight":0.1,"mode":"utility"}`

type reply struct {
	Version int64 `json:"version"`
	Rows    []struct {
		TaskType string             `json:"task_type"`
		Bucket   int                `json:"complexity_bucket"`
		Weights  map[string]float64 `json:"weights"`
	} `json:"rows"`
}

// batch is a line with twenty calls of a model.
func batch(seq int, model, provider string, successes int) string {
	var calls []string
	for i := range 20 {
		calls = append(calls, fmt.Sprintf(`{"request_id":"r%d-%d","at":%d,"task_type":"math","complexity_bucket":1,"model":%q,"provider":%q,`+
			`"tokens_in":100,"tokens_out":50,"cost_cents":0.003,"latency_ms":700,"success":%v,"error_kind":"","policy_version":1}`,
			seq, i, seq, model, provider, i < successes))
	}
	return fmt.Sprintf(`{"type":"up","node":%d,"seq":%d,"calls":[%s]}`, seq%8, seq, strings.Join(calls, ","))
}

func serve(t *testing.T, lines ...string) []reply {
	t.Helper()
	var out bytes.Buffer
	if err := stdio.Serve(strings.NewReader(strings.Join(lines, "\n")), &out); err != nil {
		t.Fatal(err)
	}
	var replies []reply
	for line := range strings.Lines(out.String()) {
		var r reply
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		replies = append(replies, r)
	}
	return replies
}

func TestEachTickIsAnsweredAndNothingElse(t *testing.T) {
	t.Parallel()
	replies := serve(t, hello, `{"type":"tick","now":0}`,
		batch(1, "small", "q", 18), batch(2, "small", "q", 17), batch(3, "big", "p", 18), batch(4, "big", "p", 17),
		`{"type":"tick","now":40}`,
		`{"type":"prices","arms":[{"model":"small","provider":"q","usd_per_mtok_in":30,"usd_per_mtok_out":120}]}`,
		`{"type":"tick","now":50}`)
	if len(replies) != 3 {
		t.Fatalf("%d replies to 3 ticks", len(replies))
	}
	if first := replies[0]; first.Version != 1 || first.Rows[0].TaskType != "*" || first.Rows[0].Bucket != -1 || len(first.Rows[0].Weights) != 2 {
		t.Errorf("before any call: %+v", first)
	}
	small := func(r reply) float64 { return r.Rows[1].Weights["small"] }
	if before, after := small(replies[1]), small(replies[2]); before < 0.5 || after > 0.02 {
		t.Errorf("small, as good and cheap, has weight %v; when it is dear, %v", before, after)
	}
}

func TestRepeatedLateAndReorderedBatchesChangeNothing(t *testing.T) {
	t.Parallel()
	var batches []string
	for seq := range 40 {
		batches = append(batches, batch(seq, []string{"big", "small"}[seq%2], []string{"p", "q"}[seq%2], 10+seq%7))
	}
	var out [2]bytes.Buffer
	for i := range out {
		lines := []string{hello}
		if i == 0 {
			lines = append(lines, batches...)
		} else {
			random := rand.New(rand.NewPCG(1, 1))
			for _, at := range random.Perm(len(batches)) {
				lines = append(lines, batches[at], `{"type":"tick","now":20}`)
				if random.IntN(4) == 0 {
					lines = append(lines, batches[at])
				}
			}
		}
		lines = append(lines, `{"type":"tick","now":60}`)
		if err := stdio.Serve(strings.NewReader(strings.Join(lines, "\n")), &out[i]); err != nil {
			t.Fatal(err)
		}
	}
	clean, adverse := lastRows(out[0].String()), lastRows(out[1].String())
	if clean != adverse {
		t.Errorf("in order %s\notherwise %s", clean, adverse)
	}
}

// lastRows is the last reply without its version, which counts ticks.
func lastRows(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	_, rows, _ := strings.Cut(lines[len(lines)-1], ",")
	return rows
}

func TestErrorsAreToldFromWrongAnswers(t *testing.T) {
	t.Parallel()
	failures := func(kind string) string {
		return strings.NewReplacer(`"error_kind":""`, `"error_kind":"`+kind+`"`, `"at":9`, `"at":35`).Replace(batch(9, "small", "q", 0))
	}
	weight := func(lines ...string) float64 {
		lines = append(append([]string{hello, batch(1, "small", "q", 18), batch(2, "big", "p", 18)}, lines...), `{"type":"tick","now":240}`)
		return serve(t, lines...)[0].Rows[1].Weights["small"]
	}
	clean := weight()
	if got := weight(failures("provider_error")); got > 0.02 {
		t.Errorf("20 provider errors and no answer since leave the weight at %v", got)
	}
	back := strings.NewReplacer(`"seq":9`, `"seq":10`, `"at":9`, `"at":65`).Replace(batch(9, "small", "q", 18))
	if got := weight(failures("provider_error"), back); got < clean-0.1 {
		t.Errorf("after it answered again, provider errors weigh on its quality: %v, without them %v", got, clean)
	}
	if got := weight(failures("unparsable")); got > clean-0.1 {
		t.Errorf("20 answers that could not be read leave the weight at %v of %v", got, clean)
	}
}

func TestWrongMessagesAreNamed(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		`{"type":"tick","now":0}`:                                        "message 1 (tick): expected hello first",
		hello + "\n" + `{"type":"fly"}`:                                  "message 2 (fly): unknown type; expected hello, up, prices or tick",
		hello + "\n" + `{"type":`:                                        "message 2: unexpected EOF",
		strings.Replace(hello, `"strong":"big"`, `"strong":"huge"`, 1):   `message 1 (hello): strong: "huge" is none of the arms`,
		strings.Replace(hello, `"mode":"utility"`, `"mode":"quick"`, 1):  `mode: is "quick"; expected reference, utility or budget`,
		strings.Replace(hello, `_in":1,`, `_in":-1,`, 1):                 "message 1 (hello): arms[0]: usd_per_mtok_in: is -1",
		strings.Replace(hello, `"mode":"utility"`, `"mode":"budget"`, 1): "budget mode needs a positive one",
	} {
		err := stdio.Serve(strings.NewReader(lines), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", lines, err, want)
		}
	}
}

func FuzzConversation(f *testing.F) {
	f.Add(batch(1, "small", "q", 10))
	f.Add(`{"type":"up","calls":[{"at":-1e300,"success":null,"tokens_in":-5,"cost_cents":1e300,"model":"small","provider":"q"}]}`)
	f.Add(`{"type":"prices","arms":[{"model":"new","provider":"r","usd_per_mtok_in":1e6,"usd_per_mtok_out":0}]}`)
	f.Fuzz(func(t *testing.T, line string) {
		var out bytes.Buffer
		err := stdio.Serve(strings.NewReader(hello+"\n"+line+"\n"+`{"type":"tick","now":100}`), &out)
		if err == nil && out.Len() == 0 {
			t.Error("the tick was not answered")
		}
	})
}
