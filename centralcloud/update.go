package centralcloud

import (
	"encoding/json"
	"fmt"
	"time"
)

// The types of messages in [UpQueue].
const (
	TypeResults = "results" // an Update
	TypeHello   = "hello"   // a Hello
)

// Update is what a node did: sums of the runs that ended since its last message,
// and the whole of some counters. The sums are for people, and as good as a
// message that is delivered at least once can be; the counters are exact, since of
// each key the hub keeps the row with the highest revision, see [Latest].
type Update struct {
	Type string `json:"type"`
	Instance
	JobSummary
	Counters []Row     `json:"counters"`
	Samples  []Sample  `json:"samples"`
	Repeats  []Repeats `json:"repeats,omitempty"`
}

// Instance says who sends a message, and when on its own clock.
type Instance struct {
	ID        string    `json:"instance_id"` // the label
	Boot      string    `json:"boot_id"`
	Version   string    `json:"version,omitempty"` // of the program
	Timestamp time.Time `json:"timestamp"`
}

// Hello says that a node listens: it has just started, or could not reach the
// queues for a time. The hub answers with a snapshot unless the node knows all.
type Hello struct {
	Type string `json:"type"`
	Instance
	Queue    string           `json:"queue"`    // that the node reads
	Versions map[string]int64 `json:"versions"` // the highest that it knows of each type of learning
}

// EncodeHello returns the message.
func EncodeHello(from Instance, versions map[string]int64) (Draft, error) {
	body, err := json.Marshal(Hello{Type: TypeHello, Instance: from, Queue: DownQueue(from.ID), Versions: versions})
	if err != nil {
		return Draft{}, fmt.Errorf("encode hello: %w", err)
	}
	return Draft{Body: body}, nil
}

// full is how many bytes of rows and the like, or of learnings, go into one message,
// unless the first one alone has more.
const full = MaxBody * 3 / 4

// EncodeUpdates spreads rows, samples and repeats over messages that a queue takes. The
// summary is in the first one. Without anything to say there is none.
func EncodeUpdates(from Instance, summary JobSummary, rows []Row, samples []Sample, repeats []Repeats) ([]Draft, error) {
	pack := updatePacker{from: from, period: summary.PeriodSeconds}
	pack.begin(summary)
	for _, row := range rows {
		if err := pack.makeRoom(row); err != nil {
			return nil, err
		}
		pack.update.Counters = append(pack.update.Counters, row)
	}
	for _, sample := range samples {
		if err := pack.makeRoom(sample); err != nil {
			return nil, err
		}
		pack.update.Samples = append(pack.update.Samples, sample)
	}
	for _, some := range repeats {
		if err := pack.makeRoom(some); err != nil {
			return nil, err
		}
		pack.update.Repeats = append(pack.update.Repeats, some)
	}
	if pack.size > 0 || pack.update.Count > 0 {
		if err := pack.finish(); err != nil {
			return nil, err
		}
	}
	return pack.drafts, nil
}

type updatePacker struct {
	from   Instance
	period float64
	update Update // that is being filled
	size   int    // of it
	drafts []Draft
}

func (p *updatePacker) begin(summary JobSummary) {
	p.update = Update{Type: TypeResults, Instance: p.from, JobSummary: summary, Counters: []Row{}, Samples: []Sample{}}
	p.size = 0
}

// makeRoom begins the next message if the item does not fit into this one.
func (p *updatePacker) makeRoom(item any) error {
	encoded, err := json.Marshal(item)
	if err != nil {
		return fmt.Errorf("encode update: %w", err)
	}
	if p.size > 0 && p.size+len(encoded) > full {
		if err := p.finish(); err != nil {
			return err
		}
		nothing := Jobs{}
		p.begin(nothing.Summary(time.Duration(p.period * float64(time.Second))))
	}
	p.size += len(encoded) + 1
	return nil
}

func (p *updatePacker) finish() error {
	body, err := json.Marshal(p.update)
	if err != nil {
		return fmt.Errorf("encode update: %w", err)
	}
	p.drafts = append(p.drafts, Draft{Body: body})
	return nil
}
