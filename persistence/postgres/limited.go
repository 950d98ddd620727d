package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

// Limited claims of a queue lock its row, and take it or leave it: a node that
// is paused in the middle keeps nobody waiting. That is for half a second at
// most, then the database ends its transaction.
var (
	beginTransaction    = &statement{"begin", `BEGIN`}
	commitTransaction   = &statement{"commit", `COMMIT`}
	rollbackTransaction = &statement{"rollback", `ROLLBACK`}

	limitPauses = &statement{"limit_pauses", `SELECT set_config('idle_in_transaction_session_timeout', '500', true)`}
)

var lockLease = &statement{"lock_lease", `
SELECT FROM singularity.node_leases
WHERE boot = $1 AND ` + livingLease + `
FOR KEY SHARE`}

var lockQueue = &statement{"lock_queue", `
SELECT ` + settingColumns + `, turn, clock_timestamp()
FROM singularity.queues
WHERE name = $1
FOR NO KEY UPDATE SKIP LOCKED`}

// What is used of a queue's own limits, and whether the claim landed before. Those
// who end a run need no lock, so there may be more room than it says.
var queueUsage = &statement{"queue_usage", `
SELECT EXISTS (SELECT FROM singularity.queues WHERE name = $1::text),
	EXISTS (SELECT FROM singularity.workflow_runs WHERE state = 'running' AND owner = $2::text AND claim_id = $3::text),
	(
		SELECT count(*)
		FROM singularity.workflow_runs
		WHERE state = 'running' AND queue = $1
			AND EXISTS (SELECT FROM singularity.queues WHERE name = $1 AND global_limit IS NOT NULL)
	),
	bucket.tokens, bucket.refilled_at
FROM (SELECT) AS this
LEFT JOIN singularity.queue_buckets AS bucket ON bucket.queue = $1 AND bucket.keyed = false AND bucket.key = ''`}

var anyDue = &statement{"any_due", `
SELECT EXISTS (
	SELECT
	FROM generate_series(0, 9) AS level (priority)
	CROSS JOIN LATERAL (
		SELECT
		FROM ` + claimableRuns + ` AND run.queue = $1::text AND (run.crash_count >= 2) = $2::boolean AND run.priority = level.priority
			AND run.sort_key <= now() + level.priority * interval '1 minute'
		LIMIT 1
	) AS due
)`}

var keepTurn = &statement{"keep_turn", `
UPDATE singularity.queues
SET turn = $2::text
WHERE name = $1::text`}

var keepBucket = &statement{"keep_bucket", `
INSERT INTO singularity.queue_buckets (queue, keyed, key, tokens, refilled_at)
VALUES ($1, false, '', $2, $3)
ON CONFLICT (queue, keyed, key) DO UPDATE SET tokens = EXCLUDED.tokens, refilled_at = EXCLUDED.refilled_at`}

// limitedClaim is a claim in the transaction that holds its queue.
type limitedClaim struct {
	store   *Store
	conn    *pgx.Conn
	write   persistence.Claim
	verdict persistence.Verdict

	settings persistence.QueueSettings
	path     persistence.KeyPath
	turn     string // the key that was served last
	now      time.Time
	room     persistence.Room
	left     int  // of the room
	dirty    bool // there is something to commit

	alive, held, known, landed bool // of the lease, the queue's row twice, and the claim
}

func (c *limitedClaim) exchange(queries ...query) error {
	return exchange(c.conn, queries)
}

// claimLimited is the commit of a batch that is a limited claim.
func (s *Store) claimLimited(ctx context.Context, w persistence.Claim) (persistence.Verdict, error) {
	if s.closed.Load() {
		return persistence.Verdict{}, settled{errClosed}
	}
	conn, err := s.writers.Acquire(ctx)
	if err != nil {
		return persistence.Verdict{}, settled{s.afterClose(err)}
	}
	defer conn.Release() // closes it, if its transaction is still open
	patience := patienceWith(conn.Conn().PgConn())
	patience.begin()
	defer patience.end()
	c := &limitedClaim{store: s, conn: conn.Conn(), write: w}
	if err := c.lock(); err != nil {
		return persistence.Verdict{}, undone(err)
	}
	if err := c.claim(); err != nil {
		return persistence.Verdict{}, undone(err)
	}
	return c.end()
}

// undone says of an error before the commit that nothing landed.
func undone(err error) error { return settled{err} }

// lock begins the transaction, and reads what there is to know.
func (c *limitedClaim) lock() error {
	var running int
	var tokens *float64
	var refilled *time.Time
	queue, boot := textParam(c.write.Queue), textParam(string(c.write.Boot))
	queries := []query{{statement: beginTransaction}}
	if c.store.pooled {
		queries = append(queries, query{statement: applySettings})
	}
	queries = append(queries,
		query{statement: limitPauses},
		query{lockLease, [][]byte{boot}, func(scanner) error {
			c.alive = true
			return nil
		}},
		query{lockQueue, [][]byte{queue}, func(row scanner) (err error) {
			c.held = true
			c.settings, err = scanQueue(row, &c.turn, &c.now)
			return err
		}},
		query{queueUsage, [][]byte{queue, boot, textParam(c.write.ID)}, func(row scanner) error {
			return row.Scan(&c.known, &c.landed, &running, &tokens, &refilled)
		}})
	if err := c.exchange(queries...); err != nil {
		return err
	}
	var bucket *persistence.Bucket
	if tokens != nil {
		bucket = &persistence.Bucket{Tokens: *tokens, RefilledAt: *refilled}
	}
	c.room = persistence.RoomIn(c.settings.QueueSettings, c.write.Limit, running, bucket, c.now)
	c.left = c.room.Runs
	return nil
}

// claim takes what the limits let begin.
func (c *limitedClaim) claim() (err error) {
	switch {
	case !c.alive:
		c.verdict.Err = persistence.ErrFenced
		return nil
	case c.landed:
		return nil
	case c.known && !c.held:
		c.verdict.Held = true
		return nil
	case c.settings.PausedAt != nil:
		return nil
	}
	switch {
	case c.left == 0:
	case c.settings.KeyPath == "":
		err = c.claimInOrder()
	default:
		if c.path, err = persistence.ParseKeyPath(c.settings.KeyPath); err == nil {
			err = c.deal()
		}
	}
	if c.left == 0 {
		c.verdict.Wait = c.room.Wait
	}
	return err
}

// claimInOrder takes the runs of a queue without keys.
func (c *limitedClaim) claimInOrder() error {
	known, err := definitions(c.write.Known)
	if err != nil {
		return err
	}
	boot, id := textParam(string(c.write.Boot)), textParam(c.write.ID)
	params := slices.Concat(known, [][]byte{
		boot, id, textParam(c.write.Queue), boolParam(c.write.Solo), int8Param(c.left), timeParam(time.Time{}),
	})
	taken := 0
	err = c.exchange(query{claimRuns, params, nil}, query{countClaimed, [][]byte{boot, id}, func(row scanner) error { return row.Scan(&taken) }})
	if err != nil {
		return err
	}
	c.take(taken)
	if c.left == 0 {
		return nil
	}
	return c.exchange(query{anyDue, [][]byte{textParam(c.write.Queue), boolParam(c.write.Solo)}, func(row scanner) error {
		return row.Scan(&c.verdict.Left)
	}})
}

var countClaimed = &statement{"count_claimed", `
SELECT count(*)
FROM singularity.workflow_runs
WHERE state = 'running' AND owner = $1 AND claim_id = $2`}

func (c *limitedClaim) take(runs int) {
	c.left -= runs
	c.dirty = c.dirty || runs > 0
}

// end commits what was taken, or lets go of the queue.
func (c *limitedClaim) end() (persistence.Verdict, error) {
	boot, id := textParam(string(c.write.Boot)), textParam(c.write.ID)
	var queries []query
	if c.dirty && c.settings.KeyPath != "" {
		queries = append(queries, query{keepTurn, [][]byte{textParam(c.write.Queue), textParam(c.turn)}, nil})
	}
	if taken := c.room.Runs - c.left; taken > 0 && persistence.QueueRate(c.settings.QueueSettings).Limits() {
		queries = append(queries, query{keepBucket, [][]byte{
			textParam(c.write.Queue), float8Param(c.room.Bucket.Tokens - float64(taken)), timeParam(c.room.Bucket.RefilledAt),
		}, nil})
	}
	if c.dirty || c.landed {
		queries = append(queries, query{claimedRuns, [][]byte{boot, id}, func(row scanner) error {
			activation, err := scanActivation(row)
			c.verdict.Activations = append(c.verdict.Activations, activation)
			return err
		}})
	}
	if !c.dirty {
		err := c.exchange(append(queries, query{statement: rollbackTransaction})...)
		if err != nil {
			return persistence.Verdict{}, undone(err)
		}
		return c.verdict, nil
	}
	if err := c.exchange(append(queries, query{statement: commitTransaction})...); err != nil {
		return persistence.Verdict{}, err // settled, or unknown
	}
	return c.verdict, nil
}
