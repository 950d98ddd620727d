-- +goose Up

-- What was spent against limits: a row for each budget, and each day of those
-- that begin anew each day.
CREATE TABLE budgets (
    name      TEXT    NOT NULL,
    day       TEXT    NOT NULL, -- UTC, as 2006-01-02; empty for a budget that has no days
    run_id    TEXT,             -- of the run whose budget it is
    spent     INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    PRIMARY KEY (name, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX budgets_of_runs ON budgets (opened_at) WHERE run_id IS NOT NULL;

-- +goose Down
DROP TABLE budgets;
