package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

// Ledger is an outside service that keeps accounts. It answers POST /effects
// with a receipt, the same one for the same key.
type Ledger struct{ URL string }

// Effect is one change of the accounts.
type Effect struct {
	Key      string   `json:"key"`
	Kind     string   `json:"kind"`
	Transfer Transfer `json:"transfer"`
	PID      int      `json:"pid"` // of the process that asks
}

// Post has an effect and returns its receipt.
func (l Ledger) Post(ctx context.Context, effect Effect) (receipt string, err error) {
	effect.PID = os.Getpid()
	body, err := json.Marshal(effect)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL+"/effects", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ledger answers %s: %s", response.Status, answer)
	}
	return string(answer), nil
}
