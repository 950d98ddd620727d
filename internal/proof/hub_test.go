package proof

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/learner"
	"singularity/centralcloud/pgmq"
	"singularity/llm"
	"singularity/workflow"
)

// learnEvery is how often a hub makes a policy. In the binary that is 10s: here all
// goes faster, since requests do, too.
const learnEvery = 50 * time.Millisecond

// hubTask is what a process that is a hub has to know.
type hubTask struct {
	Database string
	Pinned   bool // to the reference, by a rule
}

func startHub(t *testing.T, task hubTask) *process {
	t.Helper()
	return spawn(t, beHub, task)
}

// runHub is a hub until it is killed. It learns as that of the binary does.
func runHub(told string) error {
	var task hubTask
	if err := json.Unmarshal([]byte(told), &task); err != nil {
		return err
	}
	store, err := pgmq.Open(context.Background(), pgmq.Config{URL: task.Database})
	if err != nil {
		return err
	}
	choices, prices := chosen()
	if task.Pinned {
		choices.Rules.Pin = &reference
	}
	config := hub.Config{
		Store: store, Name: workflow.NewRunID().String(), Learner: choices, Prices: prices, Every: learnEvery,
		Logger: slog.New(slog.DiscardHandler),
	}
	learning, err := hub.New(config)
	if err != nil {
		return err
	}
	learning.Run(context.Background())
	return nil
}

// chosen is what operators chose: what the binary has without flags.
func chosen() (learner.Config, []learner.Price) {
	const pico = 1000 // of a nano-dollar
	priors := map[llm.Tier]float64{llm.Small: 0.6, llm.Medium: 0.7, llm.Large: 0.8}
	config := learner.Config{Reference: reference}
	var prices []learner.Price
	for _, model := range models.Models {
		arm := model.Arm()
		prices = append(prices, learner.Price{Arm: arm, In: int64(model.Price.In) * pico, Out: int64(model.Price.Out) * pico})
		config.Arms = append(config.Arms, learner.ArmFacts{Arm: arm, Prior: priors[model.Tier], Context: model.Context})
	}
	return config, prices
}

// rows are all that hubs have counted.
func rows(ctx context.Context, store *pgmq.Store) (all []centralcloud.Row, err error) {
	err = store.Rows(ctx, func(row centralcloud.Row) error {
		all = append(all, row)
		return nil
	})
	return all, err
}
