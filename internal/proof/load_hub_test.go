package proof

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"

	"singularity/centralcloud/hub"
	"singularity/centralcloud/pgmq"
	"singularity/centralcloud/sqlite"
	"singularity/workflow"
)

// loadedHubTask is where a hub has its database: in a folder, or on a server.
type loadedHubTask struct {
	Dir, URL string
}

// hubStore is a database of a hub.
type hubStore interface {
	hub.Store
	io.Closer
}

func (t loadedHubTask) open(ctx context.Context) (hubStore, error) {
	if t.Dir != "" {
		return sqlite.Open(ctx, t.Dir)
	}
	return pgmq.Open(ctx, pgmq.Config{URL: t.URL})
}

// runLoadedHub is a hub, as often at work as that of the binary, until it is killed.
func runLoadedHub(told string) error {
	var task loadedHubTask
	if err := json.Unmarshal([]byte(told), &task); err != nil {
		return err
	}
	store, err := task.open(context.Background())
	if err != nil {
		return err
	}
	choices, prices := chosen()
	busy, err := hub.New(hub.Config{
		Store: store, Name: workflow.NewRunID().String(), Learner: choices, Prices: prices, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	busy.Run(context.Background())
	return nil
}
