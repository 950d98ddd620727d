package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Effect is what one attempt of a step does to the world.
type Effect struct {
	Key     string    `json:"key"` // the step's idempotency key
	Run     string    `json:"run"`
	Step    string    `json:"step"`
	Attempt int       `json:"attempt"`
	Epoch   int64     `json:"epoch"`
	PID     int       `json:"pid"` // of the process that runs the attempt
	At      time.Time `json:"at"`  // when it was asked for
	// Ends says that the step, which has begun with another effect, ends.
	Ends bool `json:"ends,omitempty"`
}

// Post has the ledger at an address note the effect, and returns when the
// ledger has answered.
func (e Effect) Post(ctx context.Context, ledger string) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, ledger, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		answer, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("ledger answers %s: %s", response.Status, answer)
	}
	return nil
}
