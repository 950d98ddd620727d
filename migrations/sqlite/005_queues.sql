-- +goose Up

-- What an operator said about queues; a queue without a row has its defaults.
CREATE TABLE queues (
    name         TEXT    NOT NULL PRIMARY KEY,
    paused_at    INTEGER,
    node_limit   INTEGER,                      -- runs at once on each node
    global_limit INTEGER,                      -- runs at once on all nodes
    key_path     TEXT,                         -- where in the input a run's limit_key is
    key_limit    INTEGER,                      -- runs at once of each limit_key
    rate         REAL,                         -- starts a second
    burst        INTEGER,
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (
    name       TEXT    NOT NULL PRIMARY KEY,
    workflow   TEXT    NOT NULL,
    input      TEXT    NOT NULL,
    queue      TEXT    NOT NULL,
    priority   INTEGER NOT NULL DEFAULT 0,
    cron       TEXT    NOT NULL,
    time_zone  TEXT    NOT NULL,
    catch_up   TEXT    NOT NULL CHECK (catch_up IN ('skip', 'one', 'all')),
    overlap    TEXT    NOT NULL CHECK (overlap IN ('skip', 'allow')),
    paused_at  INTEGER,
    last_slot  INTEGER,
    next_slot  INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A slot of a schedule starts one run.
CREATE UNIQUE INDEX workflow_runs_slot ON workflow_runs (schedule, slot) WHERE schedule IS NOT NULL;

CREATE TABLE batches (
    id          TEXT    NOT NULL PRIMARY KEY,
    total       INTEGER NOT NULL,
    on_end      TEXT,                          -- the workflow to start once all runs have ended
    created_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX workflow_runs_batch ON workflow_runs (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX workflow_runs_parent ON workflow_runs (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE signals (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    message_id  TEXT    NOT NULL,
    payload     TEXT    NOT NULL,
    arrived_at  INTEGER NOT NULL,
    consumed_by INTEGER,                       -- the run's checkpoint that took it in
    UNIQUE (run_id, name, message_id)
) STRICT;

-- +goose Down
DROP TABLE signals;
DROP INDEX workflow_runs_parent;
DROP INDEX workflow_runs_batch;
DROP TABLE batches;
DROP INDEX workflow_runs_slot;
DROP TABLE schedules;
DROP TABLE queues;
