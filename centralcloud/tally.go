package centralcloud

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"
)

// SampleSize is how many failures, and how many successes, of one key go along
// with its counters.
const SampleSize = 64

// Sample is one call in full. The same one may be sent more than once.
type Sample struct {
	ID   string    `json:"id"` // run/sequence/number
	Boot string    `json:"boot_id"`
	At   time.Time `json:"at"` // when it was stored, on the clock of the store
	Call
}

// Tally counts the calls of one boot. The same calls make the same rows and
// samples, in whatever order they come.
type Tally struct {
	instance, boot string
	seal           Seal
	cells          map[Key]*cell
	asked          map[RepeatsKey]*questionTally
	unreadable     int
	unreadableErr  error
}

// cell is what is counted of one key.
type cell struct {
	Row
	failures, successes []rankedSample
}

// rankedSample has a rank that is as good as drawn by lot, and the same each time.
type rankedSample struct {
	rank uint64
	Sample
}

// NewTally returns an empty tally for a boot of an instance.
func NewTally(instance, boot string) *Tally {
	return &Tally{instance: instance, boot: boot, cells: map[Key]*cell{}, asked: map[RepeatsKey]*questionTally{}}
}

// Seal has the tally count which questions were asked again, under a seal. It is
// to be called before Add.
func (t *Tally) Seal(seal Seal) { t.seal = seal }

// Record is the record of a call, as a node finds it in its store.
type Record struct {
	ID       string // run/sequence/number
	At       time.Time
	Doc      []byte // a [Call]
	Scores   Scores
	Rescored int64 // how often they changed
}

// Add counts a record. One that cannot be read counts as unreadable.
func (t *Tally) Add(record Record) {
	call, err := DecodeCall(record.Doc)
	if err != nil {
		t.unreadable++
		t.unreadableErr = cmp.Or(t.unreadableErr, err)
		return
	}
	key := Key{
		Instance: t.instance, Boot: t.boot, Epoch: EpochOf(record.At.Unix()), TaskType: call.TaskType, Bucket: call.Bucket, Arm: call.Arm,
	}
	c := t.cells[key]
	if c == nil {
		c = &cell{Row: Row{Key: key}}
		t.cells[key] = c
	}
	c.Revision++
	c.Rescored += record.Rescored
	c.Merge(call.Counters(record.Scores))
	t.ask(record.ID, record.At, &call)
	call.InputDigest, call.AnswerDigest = "", "" // which must not leave the node's database
	sample := rankedSample{rankOf(record.ID), Sample{ID: record.ID, Boot: t.boot, At: record.At, Call: call}}
	if call.ErrorClass == "" {
		c.successes = keepLowest(c.successes, sample)
	} else {
		c.failures = keepLowest(c.failures, sample)
	}
}

// ask counts what a successful call asked.
func (t *Tally) ask(id string, at time.Time, call *Call) {
	question, sealed := t.seal.question(call)
	if !sealed || call.ErrorClass != "" {
		return
	}
	key := RepeatsKey{t.instance, t.boot, EpochOf(at.Unix()), call.Workflow, call.Step, call.Arm}
	if t.asked[key] == nil {
		t.asked[key] = &questionTally{questions: map[Sealed]*askings{}}
	}
	t.asked[key].add(id, at, question, t.seal.answer(call), known(call.Cost))
}

func rankOf(id string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(id)) // never fails
	return hash.Sum64()
}

// keepLowest adds a sample to those of the lowest ranks, in their order.
func keepLowest(samples []rankedSample, sample rankedSample) []rankedSample {
	at, _ := slices.BinarySearchFunc(samples, sample, func(a, b rankedSample) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.ID, b.ID))
	})
	if at == SampleSize {
		return samples
	}
	samples = slices.Insert(samples, at, sample)
	return samples[:min(len(samples), SampleSize)]
}

// Unreadable counts the records that were none of a call, and says what was wrong
// with the first.
func (t *Tally) Unreadable() (int, error) { return t.unreadable, t.unreadableErr }

// Changed returns the rows that are newer than what was sent of them, with their
// samples, in the order of their keys.
func (t *Tally) Changed(sent Revisions) ([]Row, []Sample) {
	var rows []Row
	var samples []Sample
	for _, key := range slices.SortedFunc(maps.Keys(t.cells), Key.Compare) {
		c := t.cells[key]
		if !c.Newer(sent[key]) {
			continue
		}
		rows = append(rows, c.Row)
		for _, ranked := range slices.Concat(c.failures, c.successes) {
			samples = append(samples, ranked.Sample)
		}
	}
	return rows, samples
}

// Repeats returns what was asked of the arms of some rows, in their epochs, in
// the order of its keys.
func (t *Tally) Repeats(rows []Row) []Repeats {
	type place struct {
		epoch int64
		arm   Arm
	}
	wanted := map[place]bool{}
	for _, row := range rows {
		wanted[place{row.Epoch, row.Arm}] = true
	}
	var repeats []Repeats
	for _, key := range slices.SortedFunc(maps.Keys(t.asked), RepeatsKey.Compare) {
		if wanted[place{key.Epoch, key.Arm}] {
			sum := t.asked[key].sum()
			repeats = append(repeats, Repeats{RepeatsKey: key, Revision: sum.Calls, Asked: sum})
		}
	}
	return repeats
}

// Rescored returns the rows in which there are scores, in the order of their keys.
func (t *Tally) Rescored() []Row {
	var rows []Row
	for _, key := range slices.SortedFunc(maps.Keys(t.cells), Key.Compare) {
		if c := t.cells[key]; c.Rescored > 0 {
			rows = append(rows, c.Row)
		}
	}
	return rows
}

// Revisions are the rows that were sent last, without their counters.
type Revisions map[Key]Row

// Sent notes rows that were sent.
func (r Revisions) Sent(rows []Row) {
	for _, row := range rows {
		if row.Newer(r[row.Key]) {
			r[row.Key] = Row{Key: row.Key, Revision: row.Revision, Rescored: row.Rescored}
		}
	}
}

// Forget drops those of epochs that ended before a time.
func (r Revisions) Forget(before time.Time) {
	maps.DeleteFunc(r, func(key Key, _ Row) bool { return key.Epoch+EpochSeconds <= before.Unix() })
}
