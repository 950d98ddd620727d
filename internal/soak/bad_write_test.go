package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"singularity"
	"singularity/workflow"
)

// parcel is a state that takes bytes which are no text.
type parcel struct {
	Note string          `json:"note"`
	Raw  json.RawMessage `json:"raw,omitempty"`
}

// spoiling is one way for a step to leave what Postgres refuses.
type spoiling struct {
	name string
	step func(context.Context, *parcel) error
	ends workflow.State
	says []string // in the run's error
}

var spoilings = []spoiling{
	{"state that is not UTF-8", func(_ context.Context, p *parcel) error {
		p.Raw = json.RawMessage("\"\xff\"")
		return nil
	}, workflow.Failed, []string{"step first cannot be stored", "UTF8", "0xff"}},

	{"fact with a zero byte", func(ctx context.Context, _ *parcel) error {
		workflow.Record(ctx, "cost\x00", 1)
		return nil
	}, workflow.Failed, []string{"step first cannot be stored", "UTF8", "0x00"}},

	{"message to a name with a zero byte", func(ctx context.Context, _ *parcel) error {
		workflow.Send(ctx, workflow.Message{Agent: "des\x00k", ID: "m", Payload: []byte(`{}`)})
		return nil
	}, workflow.Failed, []string{"step first cannot be stored", "UTF8", "0x00"}},

	{"summary with a zero byte", func(ctx context.Context, _ *parcel) error {
		workflow.Summarize(ctx, workflow.Summary{Model: "mod\x00el"})
		return nil
	}, workflow.Failed, []string{"step second cannot be stored", "UTF8", "0x00"}},

	{"error with a zero byte that is not UTF-8", func(context.Context, *parcel) error {
		return workflow.Permanent(errors.New("out of\x00tea\xff"))
	}, workflow.Failed, []string{"out of\uFFFDtea\uFFFD"}},

	{"text with a zero character", func(_ context.Context, p *parcel) error {
		p.Note = "te\x00a"
		return nil
	}, workflow.Completed, nil},
}

// crowd is how many runs have their steps stored at once.
const crowd = 500

// TestBadWriteFailsItsRunAndNoOther has many runs finish a step at the same
// time, one of which leaves bytes that Postgres refuses.
func TestBadWriteFailsItsRunAndNoOther(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "bad write")
	ways := map[string]spoiling{}
	for _, way := range spoilings {
		ways[way.name] = way
	}
	flow := workflow.New("parcel",
		workflow.Do("first", func(ctx context.Context, p *parcel) error {
			if err := c.affect(ctx); err != nil {
				return err
			}
			if way, spoils := ways[p.Note]; spoils {
				return way.step(ctx, p)
			}
			return nil
		}),
		workflow.Do("second", func(ctx context.Context, _ *parcel) error { return c.affect(ctx) }))
	engine := c.openEngine(singularity.Config{DatabaseURL: c.url, Queues: map[string]int{"default": crowd}}, flow)
	c.begin()
	for range often(1, 10) {
		for _, way := range spoilings {
			c.spoil(engine, flow, way)
		}
	}
	c.settleEngine(engine)
	largest, err := one[int](t.Context(), c.audit, `
SELECT max(entries) FROM (SELECT count(*) AS entries FROM soak.changes WHERE seq > old_seq GROUP BY xid) AS batch`)
	if err != nil {
		t.Fatal(err)
	}
	if c.verdict.Counts["largest_batch"] = largest; largest < 100 {
		c.invalidly("the largest batch had %d checkpoints; many were to be stored at once", largest)
	}
	c.conclude()
}

// spoil runs a crowd with a bad one in it.
func (c *cluster) spoil(engine *engine, flow *workflow.Workflow[parcel, parcel], way spoiling) {
	c.t.Helper()
	ctx, cancel := bounded(c.t)
	defer cancel()
	hold := c.ledger.holdBack(func(e Effect) bool { return e.Step == "first" })
	var good []*workflow.Handle[parcel]
	var bad *workflow.Handle[parcel]
	for i := range crowd {
		p := parcel{Note: "good"}
		if i == crowd/2 {
			p.Note = way.name
		}
		run, err := flow.Start(ctx, engine, p)
		if err != nil {
			c.t.Fatal(err)
		}
		c.told(run.ID())
		if good = append(good, run); i == crowd/2 {
			bad, good = run, good[:i]
		}
	}
	hold.await(c.t, "a crowd of first steps", crowd)
	hold.release()
	c.verdict.Faults++
	for _, run := range good {
		if _, err := run.Wait(ctx); err != nil {
			c.brokenly("beside a %s, another run ended with: %v", way.name, err)
		}
	}
	_, err := bad.Wait(ctx)
	row, readErr := engine.Run(ctx, bad.ID())
	if readErr != nil {
		c.t.Fatal(readErr)
	}
	if row.State != way.ends {
		c.brokenly("the run with a %s is %s, want %s: %v", way.name, row.State, way.ends, err)
	}
	for _, text := range way.says {
		if !strings.Contains(row.Error, text) {
			c.brokenly("the run with a %s says %q, want %q in it", way.name, row.Error, text)
		}
	}
	c.verdict.Counts[fmt.Sprintf("%s: %s", way.name, row.State)]++
}
