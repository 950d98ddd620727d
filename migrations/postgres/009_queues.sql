-- +goose Up

-- Changes are counted, so that nodes notice them. The key that had its turn last
-- is in the row that limited claims lock, and write.
ALTER TABLE singularity.queues
    ADD COLUMN key_rate  double precision,     -- starts a second of each limit_key
    ADD COLUMN key_burst integer,
    ADD COLUMN version   bigint NOT NULL DEFAULT 0, -- changes by operators
    ADD COLUMN turn      text   NOT NULL DEFAULT '', -- the limit_key that was served last
    SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- The tokens that are left of a rate: of a queue, with an empty key and no
-- keyed, or of a key in it.
CREATE TABLE singularity.queue_buckets (
    queue       text             NOT NULL,
    keyed       boolean          NOT NULL,
    key         text COLLATE "C" NOT NULL,
    tokens      double precision NOT NULL,
    refilled_at timestamptz      NOT NULL,
    PRIMARY KEY (queue, keyed, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Keys are compared by their bytes, in every database.
ALTER TABLE singularity.workflow_runs ALTER COLUMN limit_key TYPE text COLLATE "C";

-- Limited claims walk it from key to key, and for each key as plain ones walk
-- workflow_runs_claimable. Runs of other queues are not in it.
CREATE INDEX workflow_runs_keyed ON singularity.workflow_runs (queue, (crash_count >= 2), limit_key, priority, sort_key, id)
    INCLUDE (workflow, version, crash_count)
    WHERE sort_key IS NOT NULL AND limit_key IS NOT NULL;

-- +goose Down
DROP INDEX singularity.workflow_runs_keyed;
ALTER TABLE singularity.workflow_runs ALTER COLUMN limit_key TYPE text COLLATE "default";
DROP TABLE singularity.queue_buckets;
ALTER TABLE singularity.queues
    DROP COLUMN turn,
    DROP COLUMN version,
    DROP COLUMN key_burst,
    DROP COLUMN key_rate,
    RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
