package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/workflow"
)

const (
	// daysAhead is how many days after this one have their partitions made.
	daysAhead = 2
	// spareLimit is how many bytes of checkpoints of no known day retention looks
	// through to make a day, while all others wait.
	spareLimit = 256 << 20
)

// Days is how the checkpoints are partitioned.
type Days struct {
	// At is the time of the database.
	At time.Time
	// List has the days, from the first on. The very first is all that came before
	// the checkpoints were partitioned.
	List []Day
	// Spare is how large the partition is for the checkpoints of no known day, in
	// bytes.
	Spare int64
}

// Day is a partition for the runs of a time, by their ids.
type Day struct {
	Table       string
	From, Until time.Time // From is zero for all that came before
	over        bool
}

// Missing are those of the days from today to the day after tomorrow that have
// no partition.
func (d Days) Missing() []Day {
	var missing []Day
	today := startOfDay(d.At)
	for n := range daysAhead + 1 {
		day := dayFrom(today.AddDate(0, 0, n))
		known := false
		for _, other := range d.List {
			known = known || other.From.Before(day.Until) && day.From.Before(other.Until)
		}
		if !known {
			missing = append(missing, day)
		}
	}
	return missing
}

// over are the days of which nothing new comes.
func (d Days) over() []Day {
	var over []Day
	for _, day := range d.List {
		if day.over {
			over = append(over, day)
		}
	}
	return over
}

func startOfDay(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }

func dayFrom(from time.Time) Day {
	return Day{Table: "step_checkpoints_" + from.Format("20060102"), From: from, Until: from.AddDate(0, 0, 1)}
}

// name is the table's for a statement.
func (d Day) name() string { return pgx.Identifier{"singularity", d.Table}.Sanitize() }

// bounds are the first id of the day, and the first one after it.
func (d Day) bounds() (first, next string) {
	var least workflow.RunID
	if !d.From.IsZero() {
		least = firstID(d.From)
	}
	return least.String(), firstID(d.Until).String()
}

const selectDays = `
SELECT now(), coalesce(pg_relation_size(nullif(whole.partdefid, 0)), 0), day.name, day.first_id, day.ends_at, day.over
FROM pg_partitioned_table AS whole
LEFT JOIN singularity.checkpoint_days AS day ON true
WHERE whole.partrelid = to_regclass('singularity.step_checkpoints')
ORDER BY day.next_id`

// scanDay adds a row of selectDays to what was found.
func scanDay(row scanner, found **Days) error {
	if *found == nil {
		*found = &Days{}
	}
	d := *found
	var name *string
	var first *[16]byte
	var until *time.Time
	var over *bool
	if err := row.Scan(&d.At, &d.Spare, &name, &first, &until, &over); err != nil || name == nil {
		return err
	}
	day := Day{Table: *name, Until: until.UTC(), over: *over}
	if id := workflow.RunID(*first); !id.IsZero() {
		day.From = timeOf(id)
	}
	d.List = append(d.List, day)
	return nil
}

// ReadDays tells how the checkpoints of a database are partitioned; nil if they
// are not.
func ReadDays(ctx context.Context, url string) (*Days, error) {
	conn, err := connectPlainly(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	found, err := readDays(ctx, conn)
	if isMissing(err) {
		return nil, nil //nolint:nilnil // a schema without the view has no days
	}
	return found, translate(err)
}

func readDays(ctx context.Context, on queryer) (*Days, error) {
	rows, err := on.Query(ctx, selectDays)
	if err != nil {
		return nil, err
	}
	var found *Days
	err = scanAll(rows, func(row scanner) error { return scanDay(row, &found) })
	return found, err
}
