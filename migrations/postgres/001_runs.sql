-- Everything is in the schema singularity, and every name says so: the
-- search_path of a connection is its user's.
--
-- Documents are text, so that they come back byte for byte and cost nothing to
-- take in; each is JSON, to be cast where a query needs it.
--
-- There are no foreign keys: rows are added behind the fenced update of their
-- run, which proves that it is there, and deleted together with it. The tables
-- that every checkpoint writes have no CHECK constraints either: a statement
-- parses them anew each time, and the program looks at its writes before.

-- +goose Up

-- A run's row is small, since every checkpoint writes it: documents are in
-- step_checkpoints. A checkpoint that keeps the run changes the value of no
-- column of any index, and the page has room for the new version beside the
-- old one, so that no index is written (a HOT update).
CREATE TABLE singularity.workflow_runs (
    id             uuid        NOT NULL PRIMARY KEY,
    workflow       text        NOT NULL,
    version        integer     NOT NULL,
    input_hash     bytea       NOT NULL,
    key            text,                       -- unique among the unfinished and completed runs of a workflow
    state          text        NOT NULL,       -- scheduled, available, running, retryable, waiting, completed, failed, cancelled, quarantined
    queue          text        NOT NULL,
    priority       integer     NOT NULL,       -- 0 to 9
    due_at         timestamptz NOT NULL,
    sort_key       timestamptz,                -- due_at + priority x 60 s while the run waits to be claimed
    step           text        NOT NULL,       -- the next one, or the one that failed
    turn           integer     NOT NULL DEFAULT 0,
    attempt        integer     NOT NULL DEFAULT 0, -- failed attempts of that step and turn
    seq            bigint      NOT NULL DEFAULT 0, -- commits of its owners
    epoch          bigint      NOT NULL DEFAULT 0, -- changes of hands
    owner          text,                       -- a boot; stays with a run that it ended
    claim_id       text,                       -- of the claim by which the owner has it
    crash_count    integer     NOT NULL DEFAULT 0, -- process deaths since the last checkpoint
    error          text,
    reason         text,
    released_by    text,                       -- the last owner that gave the run back, and by which commit:
    released_epoch bigint,                     -- the write is recognised when it is repeated
    released_seq   bigint,
    deadline       timestamptz,
    limit_key      text,
    tags           text[],
    schedule       text,
    slot           timestamptz,                -- of the schedule
    batch_id       text,
    parent_id      uuid,                       -- the run whose step awaits this one
    created_at     timestamptz NOT NULL,
    started_at     timestamptz,
    finished_at    timestamptz,
    updated_at     timestamptz NOT NULL
) WITH (
    fillfactor = 80,
    -- Each run that was claimed leaves dead entries at the head of its queue,
    -- which every later claim walks over. A part of a large table would be too
    -- many of them, so the bound is a number; and a vacuum that pauses as it
    -- does by default is overtaken by what it cleans up after.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.1
);

-- Claims walk it for each priority, up to what is due; runs that have to run
-- alone, since one more crash quarantines them, are a list of their own. The
-- included columns spare a look at the backlog the rows themselves.
CREATE INDEX workflow_runs_claimable ON singularity.workflow_runs (queue, (crash_count >= 2), priority, sort_key, id)
    INCLUDE (workflow, version, crash_count)
    WHERE sort_key IS NOT NULL;

CREATE UNIQUE INDEX workflow_runs_key ON singularity.workflow_runs (workflow, key)
    WHERE key IS NOT NULL AND state <> 'failed' AND state <> 'cancelled' AND state <> 'quarantined';
CREATE INDEX workflow_runs_owned ON singularity.workflow_runs (owner, claim_id) WHERE state = 'running';
CREATE INDEX workflow_runs_ended ON singularity.workflow_runs (state, finished_at) WHERE finished_at IS NOT NULL;

-- A run's documents and history. Row 0 is its input. Rows are only ever added,
-- and deleted with their run.
CREATE TABLE singularity.step_checkpoints (
    run_id      uuid   NOT NULL,
    seq         bigint NOT NULL,
    step        text,
    turn        integer,
    attempt     integer,                       -- from 1
    item        integer,                       -- of a step that is taken for each of several
    outcome     text,                          -- completed or failed
    epoch       bigint,
    owner       text,
    state       text,                          -- of the run after the step
    input       text,                          -- of the run, in row 0
    output      text,                          -- of the run, in its last row
    summary     text,                          -- of the run so far
    error       text,
    started_at  timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (run_id, seq)
) WITH (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.5
);

-- What attempts found out, such as the cost of a model call.
CREATE TABLE singularity.step_records (
    run_id      uuid        NOT NULL,
    seq         bigint      NOT NULL,          -- of the checkpoint or failed attempt
    number      integer     NOT NULL,          -- within it
    kind        text        NOT NULL,
    doc         text        NOT NULL,
    owner       text        NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, seq, number)
);

-- +goose Down
DROP TABLE singularity.step_records;
DROP TABLE singularity.step_checkpoints;
DROP TABLE singularity.workflow_runs;
