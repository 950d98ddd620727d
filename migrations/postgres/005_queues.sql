-- +goose Up

-- What an operator said about queues; a queue without a row has its defaults.
CREATE TABLE singularity.queues (
    name         text        NOT NULL PRIMARY KEY,
    paused_at    timestamptz,
    node_limit   integer,                      -- runs at once on each node
    global_limit integer,                      -- runs at once on all nodes
    key_path     text,                         -- where in the input a run's limit_key is
    key_limit    integer,                      -- runs at once of each limit_key
    rate         double precision,             -- starts a second
    burst        integer,
    updated_at   timestamptz NOT NULL
);

CREATE TABLE singularity.schedules (
    name       text        NOT NULL PRIMARY KEY,
    workflow   text        NOT NULL,
    input      text        NOT NULL,
    queue      text        NOT NULL,
    priority   integer     NOT NULL DEFAULT 0,
    cron       text        NOT NULL,
    time_zone  text        NOT NULL,
    catch_up   text        NOT NULL CHECK (catch_up IN ('skip', 'one', 'all')),
    overlap    text        NOT NULL CHECK (overlap IN ('skip', 'allow')),
    paused_at  timestamptz,
    last_slot  timestamptz,
    next_slot  timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- A slot of a schedule starts one run.
CREATE UNIQUE INDEX workflow_runs_slot ON singularity.workflow_runs (schedule, slot) WHERE schedule IS NOT NULL;

CREATE TABLE singularity.batches (
    id          text        NOT NULL PRIMARY KEY,
    total       integer     NOT NULL,
    on_end      text,                          -- the workflow to start once all runs have ended
    created_at  timestamptz NOT NULL,
    finished_at timestamptz
);

CREATE INDEX workflow_runs_batch ON singularity.workflow_runs (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX workflow_runs_parent ON singularity.workflow_runs (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE singularity.signals (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id      uuid        NOT NULL,
    name        text        NOT NULL,
    message_id  text        NOT NULL,
    payload     text        NOT NULL,
    arrived_at  timestamptz NOT NULL,
    consumed_by bigint,                        -- the run's checkpoint that took it in
    UNIQUE (run_id, name, message_id)
);

-- +goose Down
DROP TABLE singularity.signals;
DROP INDEX singularity.workflow_runs_parent;
DROP INDEX singularity.workflow_runs_batch;
DROP TABLE singularity.batches;
DROP INDEX singularity.workflow_runs_slot;
DROP TABLE singularity.schedules;
DROP TABLE singularity.queues;
