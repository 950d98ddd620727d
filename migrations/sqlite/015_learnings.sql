-- +goose Up

-- What a hub counts goes by the time at which a record was stored. Records from
-- before this migration have no such time, and are not counted; the index has an
-- entry for those alone that are.
ALTER TABLE step_records ADD COLUMN stored_at INTEGER;
CREATE INDEX step_records_counted ON step_records (owner, stored_at) WHERE kind = 'model_call';

-- How far the records of a boot were sent to a hub, and whether that was to the
-- last of a boot that had ended.
ALTER TABLE node_leases ADD COLUMN counted_until INTEGER;
ALTER TABLE node_leases ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;

-- What a hub has taught: the newest of each type and name. A document that is
-- null was withdrawn.
CREATE TABLE learnings (
    type     TEXT    NOT NULL,                 -- model_routing, pattern_discovery, cost_optimization, performance_benchmark, or one that is not known yet
    name     TEXT    NOT NULL,                 -- of a pattern; else empty
    version  INTEGER NOT NULL,
    source   TEXT    NOT NULL DEFAULT 'centralcloud',
    document TEXT,                             -- JSON
    kept_at  INTEGER NOT NULL,
    PRIMARY KEY (type, name)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE learnings;
ALTER TABLE node_leases DROP COLUMN counted;
ALTER TABLE node_leases DROP COLUMN counted_until;
DROP INDEX step_records_counted;
ALTER TABLE step_records DROP COLUMN stored_at;
