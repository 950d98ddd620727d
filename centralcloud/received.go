package centralcloud

import (
	"encoding/json"
	"errors"
	"fmt"
)

// DecodeUpdate reads an update. An error says that it can never be counted.
func DecodeUpdate(body []byte) (Update, error) {
	var update Update
	if err := json.Unmarshal(body, &update); err != nil {
		return update, fmt.Errorf("decode update: %w", err)
	}
	problems := []error{update.check()}
	for i, row := range update.Counters {
		if err := row.check(); err != nil {
			problems = append(problems, fmt.Errorf("row %d: %w", i, err))
		}
	}
	for i, sample := range update.Samples {
		if sample.ID == "" || sample.Boot == "" || sample.At.IsZero() {
			problems = append(problems, fmt.Errorf("sample %d: has no id, no boot_id or no time", i))
		}
	}
	for i := range update.Repeats {
		if err := update.Repeats[i].check(); err != nil {
			problems = append(problems, fmt.Errorf("repeats %d: %w", i, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return update, fmt.Errorf("decode update: %w", err)
	}
	return update, nil
}

// DecodeHello reads a hello. An error says that nobody can answer it.
func DecodeHello(body []byte) (Hello, error) {
	var hello Hello
	if err := json.Unmarshal(body, &hello); err != nil {
		return hello, fmt.Errorf("decode hello: %w", err)
	}
	if err := errors.Join(hello.check(), CheckQueueName(hello.Queue)); err != nil {
		return hello, fmt.Errorf("decode hello: %w", err)
	}
	return hello, nil
}

func (i Instance) check() error {
	if i.ID == "" || i.Boot == "" {
		return errors.New("instance_id or boot_id is missing")
	}
	return nil
}

// check refuses what would spoil sums for good.
func (r Row) check() error {
	var problems []error
	if r.Instance == "" || r.Boot == "" || r.Model == "" || r.Provider == "" {
		problems = append(problems, errors.New("instance_id, boot_id, provider or model is missing"))
	}
	if r.Epoch%EpochSeconds != 0 || r.Epoch < 0 {
		problems = append(problems, fmt.Errorf("epoch %d is no multiple of %d", r.Epoch, EpochSeconds))
	}
	if r.Bucket < 0 || r.Bucket > maxBucket {
		problems = append(problems, fmt.Errorf("complexity_bucket %d is not 0 to %d", r.Bucket, maxBucket))
	}
	if r.Revision <= 0 {
		problems = append(problems, fmt.Errorf("revision %d is not positive", r.Revision))
	}
	if !r.Plausible() {
		problems = append(problems, fmt.Errorf("%d calls, %d judged, %d successes and %d of quality cannot all be true, or some count is below 0", r.Calls, r.Judged, r.Successes, r.Quality))
	}
	return errors.Join(problems...)
}

// maxBucket is the most demanding of the buckets.
const maxBucket = 2
