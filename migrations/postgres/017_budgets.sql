-- +goose Up

-- What was spent against limits: a row for each budget, and each day of those
-- that begin anew each day. All nodes write these rows, so that they have room
-- for their next versions beside them.
CREATE TABLE singularity.budgets (
    name      text        NOT NULL,
    day       text        NOT NULL, -- UTC, as 2006-01-02; empty for a budget that has no days
    run_id    uuid,                 -- of the run whose budget it is
    spent     bigint      NOT NULL,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (name, day)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);

CREATE INDEX budgets_of_runs ON singularity.budgets (opened_at) WHERE run_id IS NOT NULL;

-- +goose Down
DROP TABLE singularity.budgets;
