-- +goose Up

-- What a hub counts goes by the time at which a record was stored, on the clock
-- of the database. Records from before this migration have no such time, and are
-- not counted; the index has an entry for those alone that are.
ALTER TABLE singularity.step_records ADD COLUMN stored_at timestamptz;
CREATE INDEX step_records_counted ON singularity.step_records (owner, stored_at) WHERE kind = 'model_call' AND stored_at IS NOT NULL;

-- How far the records of a boot were sent to a hub, and whether that was to the
-- last of a boot that had ended.
ALTER TABLE singularity.node_leases
    ADD COLUMN counted_until timestamptz,
    ADD COLUMN counted       boolean NOT NULL DEFAULT false;

-- What a hub has taught: the newest of each type and name. A document that is
-- null was withdrawn.
CREATE TABLE singularity.learnings (
    type     text        NOT NULL,             -- model_routing, pattern_discovery, cost_optimization, performance_benchmark, or one that is not known yet
    name     text        NOT NULL,             -- of a pattern; else empty
    version  bigint      NOT NULL,
    source   text        NOT NULL DEFAULT 'centralcloud',
    document jsonb,
    kept_at  timestamptz NOT NULL,
    PRIMARY KEY (type, name)
);

-- +goose Down
DROP TABLE singularity.learnings;
ALTER TABLE singularity.node_leases
    DROP COLUMN counted,
    DROP COLUMN counted_until;
DROP INDEX singularity.step_records_counted;
ALTER TABLE singularity.step_records DROP COLUMN stored_at;
