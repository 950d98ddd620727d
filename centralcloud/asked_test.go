package centralcloud_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"singularity/centralcloud"
)

// answer is the record of a call that was answered.
func answered(input, answer string) []byte {
	return fmt.Appendf(nil, `{"workflow":"w","step":"s","attempt":1,"provider":"p","model":"m","task_type":"math","cost_nanodollars":5,
		"latency_us":900000,"propensity":1,"input_digest":%q,"answer_digest":%q}`, input, answer)
}

// ask returns what a boot counts of some questions, asked in the order of a second
// each.
func ask(boot string, from time.Time, questions ...int) (rows []centralcloud.Row, samples []centralcloud.Sample, repeats []centralcloud.Repeats) {
	tally := centralcloud.NewTally("a", boot)
	tally.Seal(centralcloud.Seal("key"))
	for i, question := range questions {
		tally.Add(centralcloud.Record{
			ID: fmt.Sprintf("%s-%d/1/0", boot, i), At: from.Add(time.Duration(i) * time.Second), Doc: answered(fmt.Sprint(question), "4"),
		})
	}
	rows, samples = tally.Changed(nil)
	return rows, samples, tally.Repeats(rows)
}

func TestRepeatsSayWhatWasAskedAgain(t *testing.T) {
	t.Parallel()
	_, samples, repeats := ask("b", time.Unix(300, 0), 1, 2, 1, 3, 1)
	if len(repeats) != 1 {
		t.Fatalf("repeats are %+v, want those of one step in one epoch", repeats)
	}
	asked := repeats[0].Asked
	if asked.Calls != 5 || asked.Cost != 25 || asked.Frequent != 3 || asked.Example != "b-4" || repeats[0].Revision != 5 || len(asked.Questions) != 3 {
		t.Errorf("asked was %+v, want three questions in five calls, the most frequent one of run b-4 three times", asked)
	}
	for _, q := range asked.Questions {
		if q.Calls == 3 && (q.First != 300e6 || q.Last != 304e6 || q.Gaps.Count() != 2 || q.Answers[0] != q.Answers[1]) {
			t.Errorf("the most frequent question is %+v, want it with two gaps", q)
		}
	}
	if n, deviation := asked.Distinct(); n != 3 || deviation != 0 {
		t.Errorf("%g questions +- %g, want 3", n, deviation)
	}
	for _, sample := range samples {
		if sample.InputDigest != "" || sample.AnswerDigest != "" {
			t.Errorf("sample %+v has digests that are not sealed", sample)
		}
	}
}

func TestWithoutTheSealNobodyCanTellWhatWasAsked(t *testing.T) {
	t.Parallel()
	seals := map[string]centralcloud.Asked{}
	for _, key := range []string{"", "one", "another", "one"} {
		tally := centralcloud.NewTally("a", "b")
		tally.Seal(centralcloud.Seal(key))
		tally.Add(centralcloud.Record{ID: "r/1/0", At: time.Unix(0, 0), Doc: answered("q", "a")})
		rows, _ := tally.Changed(nil)
		repeats := tally.Repeats(rows)
		if len(repeats) != min(1, len(key)) {
			t.Fatalf("with seal %q there is %+v", key, repeats)
		}
		if key != "" {
			if before, there := seals[key]; there && !reflect.DeepEqual(before, repeats[0].Asked) {
				t.Errorf("seal %q makes %+v, then %+v", key, before, repeats[0].Asked)
			}
			seals[key] = repeats[0].Asked
		}
	}
	one, another := seals["one"].Questions[0], seals["another"].Questions[0]
	if one.Sealed == another.Sealed || one.Answers == another.Answers || one.Sealed == one.Answers[0] {
		t.Errorf("two seals make %+v and %+v, want nothing in common", one, another)
	}
}

func TestRepeatsDoNotDependOnTheOrderOfCalls(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	type call struct {
		id       string
		at       time.Time
		document []byte
	}
	var calls []call
	for i := range 1000 {
		at := time.Unix(300, 0).Add(time.Duration(random.Int64N(25e9)))
		calls = append(calls, call{fmt.Sprintf("r-%d/1/0", i), at, answered(fmt.Sprint(random.IntN(400)), fmt.Sprint(random.IntN(2)))})
	}
	var want []centralcloud.Repeats
	for range 3 {
		tally := centralcloud.NewTally("a", "b")
		tally.Seal(centralcloud.Seal("key"))
		for _, c := range calls {
			tally.Add(centralcloud.Record{ID: c.id, At: c.at, Doc: c.document})
		}
		rows, _ := tally.Changed(nil)
		got := tally.Repeats(rows)
		if want != nil && !reflect.DeepEqual(got, want) {
			t.Errorf("in another order repeats are %+v, want %+v", got, want)
		}
		want = got
		random.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	}
}

func TestMergedSumsTellHowManyQuestionsThereWere(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	sum := &centralcloud.Asked{}
	different := map[int]bool{}
	for epoch := range int64(40) {
		var questions []int
		for range 250 {
			question := random.IntN(5000)
			if random.IntN(10) == 0 {
				question = -1 // which is a tenth of all calls
			}
			different[question] = true
			questions = append(questions, question)
		}
		for _, some := range [][]int{questions[:25], questions[25:50]} {
			_, _, repeats := ask("b", time.Unix(30*epoch, 0), some...)
			for i := range repeats {
				sum = centralcloud.SumAsked(sum, &repeats[i].Asked)
			}
		}
		for len(questions) > 50 { // many at once
			_, _, repeats := ask("c", time.Unix(30*epoch, 0), questions[50:min(len(questions), 75)]...)
			for i := range repeats {
				sum = centralcloud.SumAsked(sum, &repeats[i].Asked)
			}
			questions = append(questions[:50], questions[min(len(questions), 75):]...)
		}
		sum.Shrink(256, 64)
	}
	if len(sum.Questions) > 256+64 || sum.Calls != 10_000 {
		t.Errorf("%d questions are listed of %d calls, want at most 320 of 10000", len(sum.Questions), sum.Calls)
	}
	n, deviation := sum.Distinct()
	if want := float64(len(different)); math.Abs(n-want) > 3*deviation || deviation > 0.1*want {
		t.Errorf("%g questions +- %g, want %g", n, deviation, want)
	}
	most := slices.MaxFunc(sum.Questions, func(a, b centralcloud.Question) int { return int(a.Calls - b.Calls) })
	if most.Calls < 900 || most.Calls > 1100 || most.Gaps.Count() < 300 {
		t.Errorf("the most frequent question was asked %d times, with %d gaps; want about 1000 times", most.Calls, most.Gaps.Count())
	}
}

func TestRepeatsThatCannotBeTrueAreRefused(t *testing.T) {
	t.Parallel()
	_, _, repeats := ask("b", time.Unix(300, 0), 1, 2, 1)
	for name, spoil := range map[string]func(*centralcloud.Repeats){
		"nobody's":          func(r *centralcloud.Repeats) { r.Boot = "" },
		"of no epoch":       func(r *centralcloud.Repeats) { r.Epoch++ },
		"without calls":     func(r *centralcloud.Repeats) { r.Calls = 0 },
		"out of order":      func(r *centralcloud.Repeats) { slices.Reverse(r.Questions) },
		"with more answers": func(r *centralcloud.Repeats) { r.Questions[0].Calls = 4 },
		"with many questions": func(r *centralcloud.Repeats) {
			r.Calls, r.Questions = 1000, make(centralcloud.Questions, 200)
			for i := range r.Questions {
				r.Questions[i] = centralcloud.Question{Sealed: centralcloud.Sealed(i), Calls: 1}
			}
		},
	} {
		bad := repeats[0]
		bad.Questions = slices.Clone(bad.Questions)
		spoil(&bad)
		body := encode(t, centralcloud.Update{Type: centralcloud.TypeResults, Instance: centralcloud.Instance{ID: "a", Boot: "b"}, Repeats: []centralcloud.Repeats{bad}})
		if _, err := centralcloud.DecodeUpdate(body); err == nil {
			t.Errorf("repeats %s are taken", name)
		}
	}
	body := encode(t, centralcloud.Update{Type: centralcloud.TypeResults, Instance: centralcloud.Instance{ID: "a", Boot: "b"}, Repeats: repeats})
	if update, err := centralcloud.DecodeUpdate(body); err != nil || !reflect.DeepEqual(update.Repeats, repeats) {
		t.Errorf("repeats %+v were read as %+v, %v", repeats, update.Repeats, err)
	}
}

func FuzzQuestionsDecode(f *testing.F) {
	f.Add([]byte(`"0011223344556677 643fd4a8d7c40 8899aabbccddeeff 2 643fd4a8e1880 8899aabbccddeeff 1f3:1"`))
	f.Add([]byte(`"0 1 2;3 4 5"`))
	f.Add([]byte(`""`))
	f.Fuzz(func(t *testing.T, document []byte) {
		var questions centralcloud.Questions
		if json.Unmarshal(document, &questions) != nil {
			return
		}
		written := encode(t, questions)
		var again centralcloud.Questions
		if err := json.Unmarshal(written, &again); err != nil {
			t.Fatalf("%s was read, written and then not read: %v", document, err)
		}
		if got := encode(t, again); !bytes.Equal(got, written) {
			t.Errorf("%s was written as %s, then as %s", document, written, got)
		}
	})
}
