package contender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Serve is the process of a contender: it sets the contender up, says so on
// out, and then answers each [Order] that it reads from in with an [Answer].
// It closes the contender when in ends.
func Serve(ctx context.Context, c Contender, job Job, in io.Reader, out io.Writer) (err error) {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	description, err := c.Setup(ctx, job)
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if failure := c.Close(ctx); failure != nil {
			err = errors.Join(err, fmt.Errorf("close: %w", failure))
		}
	}()
	if err := answers.Encode(description); err != nil {
		return fmt.Errorf("say what is measured: %w", err)
	}
	for {
		var order Order
		switch err := orders.Decode(&order); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read an order: %w", err)
		}
		if err := answers.Encode(carryOut(ctx, c, order)); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// closeTimeout is how long a contender may take to stop.
const closeTimeout = 30 * time.Second

// Order asks for one measurement.
type Order struct {
	InFlight int           `json:"in_flight"`
	Duration time.Duration `json:"duration"`
	// Timeout is when the last workflow must have ended.
	Timeout time.Duration `json:"timeout"`
}

// Answer is one measurement.
type Answer struct {
	// Took is how long each workflow took, from the call that starts it to its
	// result.
	Took []time.Duration `json:"took"`
	// Elapsed is the time from the first start to the last result.
	Elapsed time.Duration `json:"elapsed"`
	Error   string        `json:"error,omitempty"`
}

var errTooSlow = errors.New("the workflows under way did not end in time")

func carryOut(ctx context.Context, c Contender, order Order) Answer {
	ctx, cancel := context.WithTimeoutCause(ctx, order.Timeout, errTooSlow)
	defer cancel()
	began := time.Now()
	took, err := Loop(ctx, order.InFlight, order.Duration, c.RunOne)
	answer := Answer{Took: took, Elapsed: time.Since(began)}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}
