package centralcloud_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud"
)

func TestEachLabelHasADownQueueOfItsOwn(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"a":                             "instance_learning_a",
		"node_7":                        "instance_learning_node_7",
		"abcdefghijklmnopqrstuvwxyz_12": "instance_learning_abcdefghijklmnopqrstuvwxyz_12",
	} {
		if got := centralcloud.DownQueue(label); got != want {
			t.Errorf("the queue of %q is %s, want %s", label, got, want)
		}
	}
	seen := map[string]string{}
	for _, label := range []string{
		"host:1", "host:2", "host.1", "host_1", "HOST_1", "Host_1", "", "ä", "ö", "x y", "x-y",
		"abcdefghijklmnopqrstuvwxyz_123", "abcdefghijklmnopqrstuvwxyz_124", strings.Repeat("long", 99),
	} {
		queue := centralcloud.DownQueue(label)
		if err := centralcloud.CheckQueueName(queue); err != nil {
			t.Errorf("the queue of %q: %v", label, err)
		}
		if other, taken := seen[queue]; taken {
			t.Errorf("%q and %q have the same queue %s", label, other, queue)
		}
		seen[queue] = label
	}
}

// callDoc is the record of a call with a model and a class of error.
func callDoc(model, class string) []byte {
	return fmt.Appendf(nil, `{"provider":"p","model":%q,"task_type":"chat","complexity_bucket":2,"attempt":2,"tokens_in":7,"tokens_out":null,
		"cost_nanodollars":40,"latency_us":900,"error_class":%q,"propensity":0.25}`, model, class)
}

func TestCallsAreCountedByHowTheyEnded(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]centralcloud.Counters{
		"": {
			Calls: 1, Judged: 1, Successes: 1, Quality: 1_000_000, Squares: 1_000_000, TokensIn: 7, Cost: 40, Retries: 1,
			InversePropensity: 4_000_000, Latency: centralcloud.SketchOf(900),
		},
		"content": {
			Calls: 1, Judged: 1, TokensIn: 7, Cost: 40, Retries: 1, Errors: map[string]int64{"content": 1},
			InversePropensity: 4_000_000, Latency: centralcloud.SketchOf(900),
		},
		"timeout": {TokensIn: 7, Cost: 40, Retries: 1, Errors: map[string]int64{"timeout": 1}, InversePropensity: 4_000_000, GivenUp: centralcloud.SketchOf(900)},
	} {
		call, err := centralcloud.DecodeCall(callDoc("m", class))
		if err != nil {
			t.Fatal(err)
		}
		if got := call.Counters(nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", class, got, want)
		}
	}
	for _, doc := range []string{`7`, `{}`, `{"model":"m"}`, `{"provider":"p"}`, `{"provider":"p","model":"m","latency_us":"long"}`} {
		if call, err := centralcloud.DecodeCall([]byte(doc)); err == nil {
			t.Errorf("%s is a call: %+v", doc, call)
		}
	}
}

func TestScoresTakeThePlaceOfVerdicts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		class    string
		unjudged bool
		scores   centralcloud.Scores
		want     centralcloud.Counters
	}{
		"taken":            {"", false, nil, centralcloud.Counters{Judged: 1, Successes: 1, Quality: 1_000_000, Squares: 1_000_000}},
		"unparsable":       {"unparsable", false, nil, centralcloud.Counters{Judged: 1}},
		"refused":          {"content", false, nil, centralcloud.Counters{Judged: 1}},
		"nobody's verdict": {"", true, nil, centralcloud.Counters{}},
		"scored":           {"", false, centralcloud.Scores{"quality": 0.3}, centralcloud.Counters{Judged: 1, Quality: 300_000, Squares: 90_000, Scored: 1, ScoredQuality: 300_000, ScoredSquares: 90_000}},
		"scored all the same": {"", true, centralcloud.Scores{"quality": 1}, centralcloud.Counters{
			Judged: 1, Successes: 1, Quality: 1_000_000, Squares: 1_000_000, Scored: 1, ScoredQuality: 1_000_000, ScoredSquares: 1_000_000,
		}},
		"of two names": {"", false, centralcloud.Scores{"quality": 1, "tone": 0.000001}, centralcloud.Counters{
			Judged: 1, Successes: 1, Quality: 500_000, Squares: 250_000, Scored: 1, ScoredQuality: 500_000, ScoredSquares: 250_000,
		}},
		"of three": {"", false, centralcloud.Scores{"a": 0, "b": 0, "c": 1}, centralcloud.Counters{
			Judged: 1, Quality: 333_333, Squares: 111_110, Scored: 1, ScoredQuality: 333_333, ScoredSquares: 111_110,
		}},
	} {
		call := centralcloud.Call{Arm: centralcloud.Arm{Provider: "p", Model: "m"}, ErrorClass: test.class, Unjudged: test.unjudged}
		got := call.Counters(test.scores)
		if !got.Plausible() || got.Calls != 1 {
			t.Errorf("%s: %+v cannot be true", name, got)
		}
		got.Calls, got.Latency, got.Errors = 0, nil, nil
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
	nobody := centralcloud.Call{Arm: centralcloud.Arm{Provider: "p", Model: "m"}, ErrorClass: "timeout"}
	if got := nobody.Counters(centralcloud.Scores{"quality": 1}); got.Judged != 0 || got.Scored != 0 {
		t.Errorf("a call without an answer counts as %+v", got)
	}
}

func TestCountersThatCannotBeTrueAreNot(t *testing.T) {
	t.Parallel()
	sound := centralcloud.Counters{
		Calls: 4, Judged: 3, Successes: 2, Quality: 1_500_000, Squares: 1_250_000, Scored: 1, ScoredQuality: 500_000, ScoredSquares: 250_000,
	}
	if !sound.Plausible() {
		t.Fatalf("%+v can be true", sound)
	}
	for name, change := range map[string]func(*centralcloud.Counters){
		"more scored than judged":            func(c *centralcloud.Counters) { c.Scored = 4 },
		"more of quality by scores than all": func(c *centralcloud.Counters) { c.ScoredQuality = 1_600_000 },
		"more of squares by scores than all": func(c *centralcloud.Counters) { c.ScoredSquares, c.Squares = 300_000, 200_000 },
		"scores above one":                   func(c *centralcloud.Counters) { c.ScoredQuality, c.Quality = 2_000_000, 3_000_000 },
		"verdicts above one":                 func(c *centralcloud.Counters) { c.Quality = 3_600_000 },
		"scored below none":                  func(c *centralcloud.Counters) { c.Scored, c.ScoredQuality, c.ScoredSquares = -1, 0, 0 },
	} {
		bad := sound
		change(&bad)
		if bad.Plausible() {
			t.Errorf("%s: %+v cannot be true", name, bad)
		}
	}
}

func TestRowsTellScoresThatCameLater(t *testing.T) {
	t.Parallel()
	tally := func(scores centralcloud.Scores, changes int64) *centralcloud.Tally {
		tally := centralcloud.NewTally("a", "boot")
		tally.Add(centralcloud.Record{ID: "1", At: time.Unix(900, 0), Doc: callDoc("m1", ""), Scores: scores, Rescored: changes})
		tally.Add(centralcloud.Record{ID: "2", At: time.Unix(901, 0), Doc: callDoc("m1", "")})
		tally.Add(centralcloud.Record{ID: "3", At: time.Unix(902, 0), Doc: callDoc("m2", "")})
		return tally
	}
	rows, _ := tally(nil, 0).Changed(nil)
	sent := centralcloud.Revisions{}
	sent.Sent(rows)
	later := tally(centralcloud.Scores{"quality": 0}, 3)
	changed, _ := later.Changed(sent)
	if len(changed) != 1 || changed[0].Model != "m1" || changed[0].Revision != 2 || changed[0].Rescored != 3 || changed[0].Successes != 1 || changed[0].Scored != 1 {
		t.Errorf("changed %+v, want the row with the score", changed)
	}
	if rescored := later.Rescored(); !reflect.DeepEqual(rescored, changed) {
		t.Errorf("rescored %+v, want %+v", rescored, changed)
	}
	sent.Sent(changed)
	sent.Sent(rows) // late
	if changed, _ := later.Changed(sent); len(changed) != 0 {
		t.Errorf("changed %+v, want nothing", changed)
	}
}

func TestTallyOfTheSameCallsIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	type record struct {
		id  string
		at  time.Time
		doc []byte
	}
	var records []record
	for i := range 500 {
		class := []string{"", "", "timeout"}[i%3]
		records = append(records, record{fmt.Sprint(i), time.Unix(int64(900+i/10), 0), callDoc([]string{"m1", "m2"}[i%2], class)})
	}
	tally := func() *centralcloud.Tally {
		tally := centralcloud.NewTally("a", "boot")
		for _, r := range records {
			tally.Add(centralcloud.Record{ID: r.id, At: r.at, Doc: r.doc})
		}
		return tally
	}
	rows, samples := tally().Changed(nil)
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	again, others := tally().Changed(nil)
	if !reflect.DeepEqual(rows, again) || !reflect.DeepEqual(samples, others) {
		t.Error("another order makes other rows or samples")
	}
	if len(rows) != 4 { // two epochs of two models
		t.Errorf("%d rows, want 4", len(rows))
	}
	var revisions, calls int64
	for _, row := range rows {
		revisions, calls = revisions+row.Revision, calls+row.Calls
	}
	if revisions != 500 || calls != 334 {
		t.Errorf("%d records and %d answers, want 500 and 334", revisions, calls)
	}
	perCell := map[string]int{}
	for _, sample := range samples {
		perCell[fmt.Sprint(sample.Model, centralcloud.EpochOf(sample.At.Unix()), sample.ErrorClass)]++
	}
	for cell, n := range perCell {
		if n > centralcloud.SampleSize {
			t.Errorf("%d samples of %s, want %d at most", n, cell, centralcloud.SampleSize)
		}
	}

	sent := centralcloud.Revisions{}
	sent.Sent(rows[:3])
	if changed, samples := tally().Changed(sent); len(changed) != 1 || !reflect.DeepEqual(changed[0], rows[3]) || len(samples) == 0 {
		t.Errorf("changed %+v, want the one row that was not sent", changed)
	}
	sent.Forget(time.Unix(930, 0))
	if changed, _ := tally().Changed(sent); len(changed) != 3 {
		t.Errorf("%d rows, want the two whose epoch is over, and the one that was not sent", len(changed))
	}
}

func TestTallyTellsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	tally := centralcloud.NewTally("a", "boot")
	tally.Add(centralcloud.Record{ID: "1", At: time.Now(), Doc: []byte(`{}`)})
	tally.Add(centralcloud.Record{ID: "2", At: time.Now(), Doc: []byte(`[`)})
	n, err := tally.Unreadable()
	if rows, _ := tally.Changed(nil); n != 2 || err == nil || len(rows) != 0 {
		t.Errorf("%d unreadable, %v, rows %+v", n, err, rows)
	}
}

func TestUpdatesFitIntoAQueue(t *testing.T) {
	t.Parallel()
	tally := centralcloud.NewTally("a", "boot")
	for i := range 20_000 {
		tally.Add(centralcloud.Record{ID: fmt.Sprint(i), At: time.Unix(int64(i), 0), Doc: callDoc(fmt.Sprint("model", i%10), []string{"", "timeout"}[i%2])})
	}
	rows, samples := tally.Changed(nil)
	var jobs centralcloud.Jobs
	jobs.Add(centralcloud.Job{Success: true, Elapsed: time.Second, Tokens: 9, Model: "m", Patterns: []string{"b", "a"}})
	cents := 3.0
	jobs.Add(centralcloud.Job{CostCents: &cents, Elapsed: 2 * time.Second})
	drafts, err := centralcloud.EncodeUpdates(centralcloud.Instance{ID: "a"}, jobs.Summary(30*time.Second), rows, samples, nil)
	if err != nil || len(drafts) < 2 {
		t.Fatalf("%d messages, %v; want several", len(drafts), err)
	}
	var gotRows []centralcloud.Row
	gotSamples, gotJobs := 0, int64(0)
	for _, draft := range drafts {
		if err := draft.Check(); err != nil {
			t.Fatal(err)
		}
		var update centralcloud.Update
		if err := json.Unmarshal(draft.Body, &update); err != nil {
			t.Fatal(err)
		}
		gotRows = append(gotRows, update.Counters...)
		gotSamples += len(update.Samples)
		gotJobs += update.Count
		if update.ID != "a" || update.PeriodSeconds != 30 {
			t.Errorf("a message is from %q, of %v seconds", update.ID, update.PeriodSeconds)
		}
	}
	if !reflect.DeepEqual(gotRows, rows) || gotSamples != len(samples) || gotJobs != 2 {
		t.Errorf("%d rows, %d samples and %d jobs arrive, want %d, %d and 2", len(gotRows), gotSamples, gotJobs, len(rows), len(samples))
	}
}

func TestUpdateHasTheFieldsThatOperatorsKnow(t *testing.T) {
	t.Parallel()
	var jobs, more centralcloud.Jobs
	cents := 3.0
	jobs.Add(centralcloud.Job{Success: true, Elapsed: time.Second, Tokens: 9, Model: "m", Patterns: []string{"b", "a"}})
	more.Add(centralcloud.Job{CostCents: &cents, Elapsed: 2 * time.Second, Model: "m"})
	jobs.Merge(more)
	from := centralcloud.Instance{ID: "a", Boot: "b", Timestamp: time.Unix(0, 0).UTC()}
	drafts, err := centralcloud.EncodeUpdates(from, jobs.Summary(30*time.Second), nil, nil, nil)
	if err != nil || len(drafts) != 1 {
		t.Fatalf("%d messages, %v; want one", len(drafts), err)
	}
	const want = `{"type":"results","instance_id":"a","boot_id":"b","timestamp":"1970-01-01T00:00:00Z","period_seconds":30,"job_count":2,` +
		`"success_rate":0.5,"avg_cost_cents":3,"avg_latency_ms":1500,"models_used":[{"model":"m","count":2}],` +
		`"patterns_discovered":["a","b"],"total_tokens":9,"counters":[],"samples":[]}`
	if got := string(drafts[0].Body); got != want {
		t.Errorf("update\n%s\nwant\n%s", got, want)
	}
	var none centralcloud.Jobs
	if drafts, err := centralcloud.EncodeUpdates(from, none.Summary(0), nil, nil, nil); err != nil || len(drafts) != 0 {
		t.Errorf("%d messages, %v, with nothing to say", len(drafts), err)
	}
}

func TestLessonsDoNotChangeWhatOthersHold(t *testing.T) {
	t.Parallel()
	teach := func(l *centralcloud.Learned, body string) *centralcloud.Learned {
		t.Helper()
		lessons, err := centralcloud.DecodeLearning([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		next, err := l.With(lessons)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	nothing := &centralcloud.Learned{}
	one := teach(nothing, `{"type":"pattern_discovery","version":2,"pattern_name":"a","pattern_definition":1}`)
	two := teach(one, `{"type":"pattern_discovery","version":3,"pattern_name":"b","pattern_definition":2}`)
	old := teach(two, `{"type":"pattern_discovery","version":1,"pattern_name":"a","pattern_definition":3}`)
	if len(nothing.Patterns) != 0 || len(one.Patterns) != 1 || len(two.Patterns) != 2 || string(old.Patterns["a"]) != "1" {
		t.Errorf("patterns %v, %v, %v, %v", nothing.Patterns, one.Patterns, two.Patterns, old.Patterns)
	}
	if versions := two.Versions(); !reflect.DeepEqual(versions, map[string]int64{"pattern_discovery": 3}) {
		t.Errorf("versions %v", versions)
	}
	taught := teach(two, `{"type":"model_routing","version":4,"routing_rules":{"version":4,"rows":[]}}`)
	if again := teach(taught, `{"type":"model_routing","version":4,"routing_rules":{"version":4,"rows":[]}}`); taught.Policy.Received.IsZero() || again.Policy != taught.Policy {
		t.Errorf("policies %+v, %+v; want the same one, since when it is known", taught.Policy, again.Policy)
	}
	// Another pattern that was late is news, whatever the version of the others.
	lessons, _ := centralcloud.DecodeLearning([]byte(`{"type":"pattern_discovery","version":1,"pattern_name":"c","pattern_definition":3}`))
	if news := two.News(lessons); !slices.EqualFunc(news, lessons, func(a, b centralcloud.Lesson) bool { return a.Name == b.Name }) {
		t.Errorf("news %v", news)
	}
}

func FuzzDecodeLearning(f *testing.F) {
	f.Add([]byte(`{"type":"model_routing","version":3,"routing_rules":{"rows":[{"arms":[{"model":"m","weight":1}]}]}}`))
	f.Add([]byte(`{"type":"snapshot","learnings":[{"type":"pattern_discovery","pattern_name":"a","pattern_definition":null},{"type":"x"}]}`))
	f.Add([]byte(`{"type":"cost_optimization","settings":{"a":1},"estimated_savings":null}`))
	f.Add([]byte(`{"type":"model_routing","routing_rules":{"version":3,"part":1,"parts":1,"models":[{"provider":"p","model":"m"}],"reasons":[""],
		"rows":[{"task_type":"*","complexity_bucket":-1,"arms":[[0,1,0.5,0,0]],"fallback":[0]}]}}`))
	f.Add([]byte(`{"type":"model_routing","routing_rules":{"version":3,"part":2,"parts":2,"base":{"version":2},"gone":[{"task_type":"*"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		lessons, err := centralcloud.DecodeLearning(body)
		if err != nil {
			return
		}
		lessons, _, err = new(centralcloud.Assembly).Complete(nil, lessons)
		if err != nil {
			t.Fatalf("what can be read cannot be put together: %v", err)
		}
		learned, err := (&centralcloud.Learned{}).With(lessons)
		if err != nil {
			t.Fatalf("what can be read cannot be learnt: %v", err)
		}
		for _, lesson := range lessons {
			if len(learned.News([]centralcloud.Lesson{lesson})) > 0 && lesson.Version != 0 {
				t.Fatalf("%+v is news after it was learnt", lesson)
			}
		}
	})
}
