package persistence

import (
	"context"
	"encoding/json"
	"time"

	"singularity/workflow"
)

// Scores keeps how good the answers were of which there are counted records, from
// whoever finds out later.
type Scores interface {
	// RecordsOf lists the counted records of a run in their order. Its error wraps
	// workflow.ErrRunNotFound.
	RecordsOf(ctx context.Context, run workflow.RunID) ([]Record, error)
	// Score gives a score to a record, and returns all that it has. The same one
	// again changes nothing. Its error wraps workflow.ErrRunNotFound when the record
	// is gone.
	Score(ctx context.Context, record RecordID, score workflow.Score) (map[string]float64, error)
	// Rescored lists the epochs in which records got scores that nobody counted, by
	// time and boot, as far back as MaxRecordAge.
	Rescored(ctx context.Context) ([]RescoredEpoch, error)
	// ReadEpoch gives to each the counted records of a boot in one epoch, which
	// begins at a time.
	ReadEpoch(ctx context.Context, boot BootID, epoch time.Time, each func(Record) error) error
	// NoteRescored notes that records are counted with the scores that they had when
	// they were read. What they got since is not.
	NoteRescored(ctx context.Context, records []Record) error
}

// RescoredEpoch is an epoch of a boot whose records have to be counted again.
type RescoredEpoch struct {
	UncountedBoot
	Epoch time.Time // when it begins
}

// DecodeScores reads scores as stores write them, as a JSON object by name; nil is
// none.
func DecodeScores(document []byte) (scores map[string]float64, err error) {
	if document != nil {
		err = json.Unmarshal(document, &scores)
	}
	return scores, err
}
