-- +goose Up

ALTER TABLE queues ADD COLUMN key_rate REAL;   -- starts a second of each limit_key
ALTER TABLE queues ADD COLUMN key_burst INTEGER;
ALTER TABLE queues ADD COLUMN version INTEGER NOT NULL DEFAULT 0; -- changes by operators
ALTER TABLE queues ADD COLUMN turn TEXT NOT NULL DEFAULT ''; -- the limit_key that was served last

-- The tokens that are left of a rate: of a queue, with an empty key and no
-- keyed, or of a key in it.
CREATE TABLE queue_buckets (
    queue       TEXT    NOT NULL,
    keyed       INTEGER NOT NULL,
    key         TEXT    NOT NULL,
    tokens      REAL    NOT NULL,
    refilled_at INTEGER NOT NULL,
    PRIMARY KEY (queue, keyed, key)
) STRICT, WITHOUT ROWID;

-- Limited claims walk it from key to key, and for each key as plain ones walk
-- workflow_runs_claimable. Runs of other queues are not in it.
CREATE INDEX workflow_runs_keyed ON workflow_runs (queue, crash_count >= 2, limit_key, priority, sort_key, id, workflow, version)
    WHERE sort_key IS NOT NULL AND limit_key IS NOT NULL;

-- +goose Down
DROP INDEX workflow_runs_keyed;
DROP TABLE queue_buckets;
ALTER TABLE queues DROP COLUMN turn;
ALTER TABLE queues DROP COLUMN version;
ALTER TABLE queues DROP COLUMN key_burst;
ALTER TABLE queues DROP COLUMN key_rate;
