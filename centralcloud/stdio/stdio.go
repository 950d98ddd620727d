// Package stdio lets other programs drive the learner, over JSON lines: they
// replay calls and tick, it answers with policies. So anyone can score it.
//
// A conversation begins with hello, which names the arms, their prices and the
// mode. Then up brings calls, prices changes prices, and each tick is answered
// with one policy; see [Serve].
package stdio

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// message is one line that comes in. Its type says which fields it has.
type message struct {
	Type string `json:"type"`

	// hello and prices
	Arms       []learner.QuotedPrice `json:"arms"`
	Strong     string                `json:"strong"`
	Delta      float64               `json:"delta"`
	CostWeight float64               `json:"cost_weight"`
	Mode       centralcloud.Mode     `json:"mode"`
	Budget     float64               `json:"hourly_budget_cents"`

	// up
	Node  json.Number `json:"node"`
	Seq   json.Number `json:"seq"`
	Calls []call      `json:"calls"`

	// tick
	Now float64 `json:"now"`
}

// reply is what a tick is answered with.
type reply struct {
	Version     int64                       `json:"version"`
	Rows        []replyRow                  `json:"rows"`
	StateHash   string                      `json:"state_hash"`
	DriftEvents []centralcloud.DriftEvent   `json:"drift_events,omitempty"`
	Quarantined []centralcloud.Quarantine   `json:"quarantined,omitempty"`
	Budget      *centralcloud.BudgetAccount `json:"budget,omitempty"`
}

type replyRow struct {
	TaskType string             `json:"task_type"`
	Bucket   int                `json:"complexity_bucket"`
	Weights  map[string]float64 `json:"weights"`
}

// Serve answers the messages of one conversation, until they end. Lines that
// make no sense end it with an error that names their number.
func Serve(in io.Reader, out io.Writer) error {
	c := conversation{ledger: learner.NewLedger()}
	decoder := json.NewDecoder(bufio.NewReaderSize(in, 1<<20))
	encoder := json.NewEncoder(out)
	for number := 1; ; number++ {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("message %d: %w", number, err)
		}
		answer, err := c.take(m)
		if err != nil {
			return fmt.Errorf("message %d (%s): %w", number, m.Type, err)
		}
		if answer == nil {
			continue
		}
		if err := encoder.Encode(answer); err != nil {
			return fmt.Errorf("answer message %d: %w", number, err)
		}
	}
}

// conversation is the state between two messages.
type conversation struct {
	ledger *learner.Ledger
	prices learner.Prices
	config learner.Config
	now    time.Time
	ticks  int64
}

func (c *conversation) take(m message) (*reply, error) {
	if c.config.Reference.Model == "" && m.Type != "hello" {
		return nil, errors.New("expected hello first")
	}
	switch m.Type {
	case "hello":
		return nil, c.hello(m)
	case "up":
		for _, row := range rowsOf(m.Node.String(), m.Seq.String(), m.Calls) {
			c.ledger.Add(row)
		}
		return nil, nil
	case "prices":
		return nil, c.reprice(m.Arms)
	case "tick":
		return c.tick(m), nil
	default:
		return nil, errors.New("unknown type; expected hello, up, prices or tick")
	}
}

func (c *conversation) hello(m message) error {
	c.now = time.Unix(0, 0)
	if err := c.reprice(m.Arms); err != nil {
		return err
	}
	config := learner.Config{
		Mode: m.Mode, Delta: m.Delta, CostWeight: m.CostWeight, HourlyBudget: int64(m.Budget * 1e7),
	}
	for _, arm := range m.Arms {
		if arm.Model == m.Strong {
			config.Reference = centralcloud.Arm{Provider: arm.Provider, Model: arm.Model}
		}
	}
	if config.Reference.Model == "" {
		return fmt.Errorf("strong: %q is none of the arms", m.Strong)
	}
	if err := config.Validate(c.prices, c.now); err != nil {
		return err
	}
	c.config = config
	return nil
}

// reprice takes prices over from the present moment on.
func (c *conversation) reprice(quoted []learner.QuotedPrice) error {
	prices := make([]learner.Price, len(quoted))
	var problems []error
	for i, q := range quoted {
		price, err := q.Price()
		if err != nil {
			problems = append(problems, fmt.Errorf("arms[%d]: %w", i, err))
		}
		prices[i] = price
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	c.prices = c.prices.With(c.now, prices...)
	return nil
}

func (c *conversation) tick(m message) *reply {
	c.now = time.Unix(int64(m.Now), 0)
	c.ticks++
	policy := learner.Learn(c.ledger, c.prices, c.config, c.now)
	answer := &reply{
		Version: c.ticks, StateHash: policy.StateHash,
		DriftEvents: policy.DriftEvents, Quarantined: policy.Quarantined, Budget: policy.Budget,
	}
	for _, row := range policy.Rows {
		weights := make(map[string]float64, len(row.Arms))
		for _, arm := range row.Arms {
			weights[arm.Model] += arm.Weight
		}
		answer.Rows = append(answer.Rows, replyRow{row.TaskType, row.Bucket, weights})
	}
	return answer
}
