package workflow

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Attempt is one execution of one step, as its body's context carries it. The
// engine makes it, and reads from it afterwards what the body reported.
type Attempt struct {
	Run      RunID
	Workflow string
	Version  int
	Step     string
	Turn     int    // of a Loop step, from 0; 0 for other steps
	Name     string // step and turn: "call_llm_provider", "agent[17]"
	Number   int    // from 1; counts the attempts of this step and turn
	Epoch    int64

	// OnProgress hears what the body gives to [Progress]. It must not block.
	OnProgress func(doc json.RawMessage)

	mu       sync.Mutex // the body may report from goroutines of its own
	reported Report
	atEnd    []factAtEnd
	size     int
	err      error
}

// factAtEnd is a fact whose document is made when the attempt ends.
type factAtEnd struct {
	kind string
	at   time.Time
	make func(error) any
}

// Report is what one attempt leaves beside its state. It commits with the
// attempt's outcome, success or failure; messages only with success.
type Report struct {
	Facts    []Fact
	Messages []Message
	Summary  *Summary
}

// Fact is what one attempt found out, such as the cost of a model call. It is
// a row in step_records.
type Fact struct {
	Kind string          `json:"kind"`
	Doc  json.RawMessage `json:"doc"`
	At   time.Time       `json:"at"`
	// Scores say how good what was found out turned out to be: 0 to 1, by name.
	// They come later, see [Score].
	Scores map[string]float64 `json:"scores,omitempty"`
}

// Message goes to an agent's durable inbox in the commit of the step that
// sent it. A second message with the same Agent and ID is dropped.
type Message struct {
	Agent   string          `json:"agent"`
	ID      string          `json:"message_id"` // defaults to one of this step and turn
	Source  string          `json:"source"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// Summary is a run's row in job_results, written by the commit that ends the
// run, failed runs too. Zero fields are stored as null.
type Summary struct {
	Model      string          `json:"model,omitempty"`
	Tokens     int64           `json:"tokens,omitempty"`
	CostCents  *float64        `json:"cost_cents,omitempty"` // US cents; nil when the price is not known
	Patterns   []string        `json:"patterns,omitempty"`
	Insights   json.RawMessage `json:"insights,omitempty"`
	Input      json.RawMessage `json:"input,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	ErrorClass string          `json:"error_class,omitempty"`
}

type attemptKey struct{}

// NewContext returns a context that carries attempt. Engines call it; tests of
// step bodies may.
func NewContext(ctx context.Context, attempt *Attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, attempt)
}

// FromContext returns the attempt that ctx belongs to. Outside a step it
// returns a blank Attempt whose reports go nowhere, so that a body can be
// called as a plain function.
func FromContext(ctx context.Context) *Attempt {
	if attempt, ok := ctx.Value(attemptKey{}).(*Attempt); ok {
		return attempt
	}
	return &Attempt{}
}

// Key is the idempotency key of this step for the outside world: the same for
// every attempt and on every node, different for every run, step and turn.
// Send it along with effects that must happen once. Outside a step it is empty.
func Key(ctx context.Context) string { return FromContext(ctx).key() }

func (a *Attempt) key() string {
	if a.Run.IsZero() {
		return "" // one key for all such calls would make the second effect look done
	}
	return a.Run.String() + "/" + a.Name
}

// Record buffers a fact that commits with the attempt's outcome, success or
// failure. A document that JSON cannot encode fails the run.
func Record(ctx context.Context, kind string, doc any) {
	FromContext(ctx).record(kind, doc, time.Now())
}

func (a *Attempt) record(kind string, doc any, at time.Time) {
	a.add("record of kind "+kind, doc, func(report *Report, encoded json.RawMessage) {
		report.Facts = append(report.Facts, Fact{Kind: kind, Doc: encoded, At: at})
	})
}

// RecordAtEnd is [Record] for what depends on how the attempt ends: the document is
// made once the body has returned, from its error, which is nil for a success.
func RecordAtEnd(ctx context.Context, kind string, doc func(err error) any) {
	attempt := FromContext(ctx)
	attempt.mu.Lock()
	defer attempt.mu.Unlock()
	attempt.atEnd = append(attempt.atEnd, factAtEnd{kind, time.Now(), doc})
}

// End makes the documents of [RecordAtEnd]. Engines call it when the body has
// returned; tests of step bodies may.
func (a *Attempt) End(err error) {
	a.mu.Lock()
	facts := a.atEnd
	a.atEnd = nil
	a.mu.Unlock()
	for _, fact := range facts {
		a.record(fact.kind, fact.make(err), fact.at)
	}
}

// Summarize sets the run's [Summary]. Later calls, in later steps too, replace
// the fields that they set and keep the others. A workflow that never calls it
// leaves no row in job_results.
func Summarize(ctx context.Context, summary Summary) {
	attempt := FromContext(ctx)
	summary = summary.clone()
	attempt.add("summary", summary, func(report *Report, _ json.RawMessage) {
		merged := report.Summary.Merge(summary)
		report.Summary = &merged
	})
}

// Send puts a message into an agent's inbox when this attempt succeeds.
func Send(ctx context.Context, message Message) {
	attempt := FromContext(ctx)
	message.Payload = slices.Clone(message.Payload)
	attempt.add("message to "+message.Agent, message, func(report *Report, _ json.RawMessage) {
		if message.ID == "" {
			message.ID = fmt.Sprintf("%s#%d", attempt.key(), len(report.Messages))
		}
		report.Messages = append(report.Messages, message)
	})
}

// Progress tells whoever watches the run how far the step is. It is neither
// stored nor waited for.
func Progress(ctx context.Context, doc any) {
	attempt := FromContext(ctx)
	if attempt.OnProgress == nil {
		return
	}
	if encoded, err := json.Marshal(doc); err == nil {
		attempt.OnProgress(encoded)
	}
}

// add encodes what a body reports at once, so that the body may go on to change
// it, and keeps the first thing that went wrong for [Attempt.Report].
func (a *Attempt) add(what string, doc any, keep func(*Report, json.RawMessage)) {
	encoded, err := json.Marshal(doc)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.size += len(encoded)
	switch {
	case a.err != nil:
	case err != nil:
		a.err = Permanent(fmt.Errorf("%s cannot be encoded: %w", what, err))
	case a.size > MaxReport:
		a.err = Permanent(&LimitError{What: "all that one attempt reports", Size: a.size, Limit: MaxReport})
	default:
		keep(&a.reported, encoded)
	}
}

// Report returns what the body has reported so far and the error that one of
// its reports met.
func (a *Attempt) Report() (Report, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reported, a.err
}

// clone returns a copy of s that the caller's later changes do not reach.
func (s *Summary) clone() Summary {
	c := *s
	if s.CostCents != nil {
		c.CostCents = new(*s.CostCents)
	}
	c.Patterns = slices.Clone(s.Patterns)
	c.Insights, c.Input, c.Result = slices.Clone(s.Insights), slices.Clone(s.Input), slices.Clone(s.Result)
	return c
}

// Merge returns s with the fields that later sets replaced. A nil s is an
// empty summary.
func (s *Summary) Merge(later Summary) Summary {
	if s == nil {
		return later
	}
	merged := *s
	merged.Model = cmp.Or(later.Model, s.Model)
	merged.Tokens = cmp.Or(later.Tokens, s.Tokens)
	merged.CostCents = cmp.Or(later.CostCents, s.CostCents)
	merged.ErrorClass = cmp.Or(later.ErrorClass, s.ErrorClass)
	if later.Patterns != nil {
		merged.Patterns = later.Patterns
	}
	if later.Insights != nil {
		merged.Insights = later.Insights
	}
	if later.Input != nil {
		merged.Input = later.Input
	}
	if later.Result != nil {
		merged.Result = later.Result
	}
	return merged
}
