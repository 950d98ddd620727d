package persistence

import (
	"context"
	"encoding/json"
	"time"

	"singularity/workflow"
)

// CountedKind is the kind of the records that are counted for a hub. Stores have
// an index of these alone.
const CountedKind = "model_call"

// Records lets a node count what attempts recorded, for a hub. Everything is by
// the time at which a record was stored, on the clock of the store, in epochs of
// RecordEpoch.
type Records interface {
	// ReadRecords gives to each the counted records of a boot, by the time at which
	// they were stored, and says what stretch of time they are all of. It begins
	// with the first epoch that has any of from, or, if from is zero, of what
	// NoteCounted said last, and goes no further back than MaxRecordAge. It gives
	// whole epochs: one that is read again has what it had, unless runs were
	// pruned, and maybe more.
	ReadRecords(ctx context.Context, boot BootID, from time.Time, each func(Record) error) (Stretch, error)
	// NoteCounted notes that the records of a boot which were stored before a time
	// are counted, and, if last is set and the boot runs nothing, that it will have
	// no more.
	NoteCounted(ctx context.Context, boot BootID, until time.Time, last bool) error
	// Uncounted lists the boots that have ended, run nothing any more, and are not
	// counted to the last, in the order of their end.
	Uncounted(ctx context.Context) ([]UncountedBoot, error)
}

// Times of counting.
const (
	RecordEpoch = 30 * time.Second
	// RecordsSettle is how long after the time that it bears a record can be read,
	// at the latest: no transaction that stores one takes longer than that.
	RecordsSettle = time.Minute
	// MaxRecordAge is how old a record may be that is counted.
	MaxRecordAge = 24 * time.Hour
	// MaxStretch is how much is read at once.
	MaxStretch = 10 * RecordEpoch
)

// Record is what one attempt found out.
type Record struct {
	RecordID
	Doc      json.RawMessage
	StoredAt time.Time // zero when nobody noted it
	Scores   map[string]float64
	Rescored int64 // how often its scores changed
}

// RecordID names a record.
type RecordID struct {
	Run    workflow.RunID
	Seq    int64 // of the checkpoint or failed attempt
	Number int   // within it
}

// Stretch is a span of time of which all records were read.
type Stretch struct {
	Until   time.Time // where to go on
	Settled time.Time // no record will be added before it; at most Until
	More    bool      // there may be records from Until on
}

// StretchFrom is the stretch that begins with the epoch of a time, and when that
// epoch begins.
func StretchFrom(first, now time.Time) (Stretch, time.Time) {
	begin := first.Truncate(RecordEpoch)
	stretch := StretchTo(now)
	if until := begin.Add(MaxStretch); until.Before(now) {
		stretch = Stretch{Until: until, Settled: until, More: true}
		if settled := now.Add(-RecordsSettle); settled.Before(until) {
			stretch.Settled = settled
		}
	}
	return stretch, begin
}

// StretchTo is the stretch in which there was nothing.
func StretchTo(now time.Time) Stretch {
	return Stretch{Until: now, Settled: now.Add(-RecordsSettle)}
}

// UncountedBoot is a boot that has ended, and some of whose records may not be counted.
type UncountedBoot struct {
	Boot     BootID
	Instance string // its label
}
