package postgres

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// keysAtOnce is how many waiting runs are looked at in one transaction for
// those that need a key.
const keysAtOnce = 100

// place is one in the order of workflow_runs_claimable, within a lane.
type place struct {
	priority int
	sortKey  time.Time
	id       workflow.RunID
}

// A page of waiting runs, with the inputs of those that are to be looked at.
var waitingPage = &statement{"waiting_page", `
SELECT run.id, run.priority, run.sort_key,
	CASE WHEN $6::boolean OR run.limit_key IS NULL THEN (
		SELECT input FROM singularity.step_checkpoints WHERE run_id = run.id AND seq = 0
	) END
FROM ` + claimableRuns + ` AND run.queue = $1::text AND (run.crash_count >= 2) = $2::boolean
	AND (run.priority, run.sort_key, run.id) > ($3::bigint, $4::timestamptz, $5::uuid)
ORDER BY run.priority, run.sort_key, run.id
LIMIT $7::bigint`}

// Runs that somebody is about to take or to end are passed over.
var giveKeys = &statement{"give_keys", `
WITH free AS MATERIALIZED (
	SELECT run.id, w.key
	FROM unnest($1::uuid[], $2::text[]) AS w (id, key)
	CROSS JOIN LATERAL (
		SELECT waiting.id
		FROM singularity.workflow_runs AS waiting
		WHERE waiting.id = ANY (ARRAY[w.id]) AND (waiting.sort_key IS NOT NULL) IS TRUE AND waiting.limit_key IS DISTINCT FROM w.key
		FOR NO KEY UPDATE SKIP LOCKED
	) AS run
)
UPDATE singularity.workflow_runs AS run
SET limit_key = free.key
FROM free
WHERE run.id = ANY (ARRAY[free.id])`}

// page reads a page of waiting runs.
type page struct {
	path persistence.KeyPath
	last place
	seen int
	keys map[workflow.RunID]string // of those that are to have one
}

func newPage(path persistence.KeyPath) *page {
	return &page{path: path, keys: map[workflow.RunID]string{}}
}

func (p *page) read(of lane, after place, all bool) query {
	params := [][]byte{
		textParam(of.queue), boolParam(of.solo), int8Param(after.priority), timeParam(after.sortKey), after.id[:],
		boolParam(all), int8Param(keysAtOnce),
	}
	return query{waitingPage, params, func(row scanner) error {
		var input []byte
		if err := row.Scan((*[16]byte)(&p.last.id), &p.last.priority, &p.last.sortKey, &input); err != nil {
			return err
		}
		if p.seen++; input != nil {
			p.keys[p.last.id] = p.path.Of(input)
		}
		return nil
	}}
}

// write gives the runs their keys.
func (p *page) write() query {
	ids := slices.SortedFunc(maps.Keys(p.keys), func(a, b workflow.RunID) int { return bytes.Compare(a[:], b[:]) })
	list := newArrays(len(ids), pgtype.UUIDOID, pgtype.TextOID)
	for _, id := range ids {
		list.uuid(id)
		list.text(p.keys[id])
	}
	return query{giveKeys, list.params(), nil}
}

// next is where the next page begins: at the beginning, after the last one.
func (p *page) next() place {
	if p.seen < keysAtOnce {
		return place{}
	}
	return p.last
}

// giveKeys gives all waiting runs of a queue their keys, in batches.
func (s *Store) giveKeys(ctx context.Context, q persistence.QueueSettings) error {
	if q.KeyPath == "" {
		return nil
	}
	path, err := persistence.ParseKeyPath(q.KeyPath)
	if err != nil {
		return err
	}
	for _, solo := range []bool{false, true} {
		for after, more := (place{}), true; more; more = after != (place{}) {
			p := newPage(path)
			err := pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
				if err := within(ctx, tx, []query{p.read(lane{q.Name, solo}, after, true)}); err != nil {
					return err
				}
				return within(ctx, tx, []query{p.write()})
			})
			if err != nil {
				return translate(s.afterClose(err))
			}
			after = p.next()
		}
	}
	return nil
}

// unkeyed is up to where limited claims have looked through a lane for runs that
// have no key yet.
type unkeyed struct {
	mu    sync.Mutex
	lanes map[lane]place
}

func (u *unkeyed) from(of lane) place {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lanes[of]
}

func (u *unkeyed) reached(of lane, at place) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lanes == nil {
		u.lanes = map[lane]place{}
	}
	u.lanes[of] = at
}
