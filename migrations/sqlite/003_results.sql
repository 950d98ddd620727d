-- +goose Up

-- One row for each run that ended with a summary.
CREATE TABLE job_results (
    job_id              TEXT    NOT NULL PRIMARY KEY,
    instance_id         TEXT    NOT NULL,
    job_type            TEXT    NOT NULL,
    workflow_type       TEXT    NOT NULL,
    success             INTEGER NOT NULL CHECK (success IN (0, 1)),
    error_reason        TEXT,
    error_class         TEXT,
    duration_ms         INTEGER NOT NULL,
    started_at          INTEGER NOT NULL,
    completed_at        INTEGER NOT NULL,
    cost_cents          REAL,
    model_used          TEXT,
    tokens_used         INTEGER,
    patterns_discovered TEXT,                  -- a JSON array of strings
    insights            TEXT,                  -- JSON
    input_summary       TEXT,                  -- JSON
    result_summary      TEXT,                  -- JSON
    inserted_at         INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE job_results;
