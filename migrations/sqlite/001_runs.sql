-- Times are integers, microseconds since 1970 in UTC: they are compared and
-- added up in the hot path, and come back exactly as they were stored. The
-- views show them as RFC 3339. Ids are text, to be read and typed by people.
--
-- There are no foreign keys: rows are added behind the fenced update of their
-- run, which proves that it is there, and deleted together with it.

-- +goose Up

-- A run's row is small, since every checkpoint writes it: documents are in
-- step_checkpoints. A checkpoint that keeps the run changes no column of any
-- index.
CREATE TABLE workflow_runs (
    id             TEXT    NOT NULL PRIMARY KEY,
    workflow       TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    input_hash     BLOB    NOT NULL,
    key            TEXT,                       -- unique among the unfinished and completed runs of a workflow
    state          TEXT    NOT NULL CHECK (
        -- not IN: SQLite would build the list anew for every row that is written
        state = 'scheduled' OR state = 'available' OR state = 'running' OR state = 'retryable' OR state = 'waiting'
        OR state = 'completed' OR state = 'failed' OR state = 'cancelled' OR state = 'quarantined'
    ),
    queue          TEXT    NOT NULL,
    priority       INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    due_at         INTEGER NOT NULL,
    sort_key       INTEGER,                    -- due_at + priority x 60 s while the run waits to be claimed
    step           TEXT    NOT NULL,           -- the next one, or the one that failed
    turn           INTEGER NOT NULL DEFAULT 0,
    attempt        INTEGER NOT NULL DEFAULT 0, -- failed attempts of that step and turn
    seq            INTEGER NOT NULL DEFAULT 0, -- commits of its owners
    entry          INTEGER NOT NULL,           -- the newest of its history
    input          INTEGER NOT NULL,           -- the first one
    epoch          INTEGER NOT NULL DEFAULT 0, -- changes of hands
    owner          TEXT,                       -- a boot; stays with a run that it ended
    claim_id       TEXT,                       -- of the claim by which the owner has it
    crash_count    INTEGER NOT NULL DEFAULT 0, -- process deaths since the last checkpoint
    error          TEXT,
    reason         TEXT,
    released_by    TEXT,                       -- the last owner that gave the run back, and by which commit:
    released_epoch INTEGER,                    -- the write is recognised when it is repeated
    released_seq   INTEGER,
    deadline       INTEGER,
    limit_key      TEXT,
    tags           TEXT,                       -- a JSON array
    schedule       TEXT,
    slot           INTEGER,                    -- of the schedule
    batch_id       TEXT,
    parent_id      TEXT,                       -- the run whose step awaits this one
    created_at     INTEGER NOT NULL,
    started_at     INTEGER,
    finished_at    INTEGER,
    updated_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Claims walk it for each priority, up to what is due; runs that have to run
-- alone, since one more crash quarantines them, are a list of their own. The
-- last columns spare claims the rows of workflows that the node does not know.
CREATE INDEX workflow_runs_claimable ON workflow_runs (queue, crash_count >= 2, priority, sort_key, id, workflow, version)
    WHERE sort_key IS NOT NULL;

CREATE UNIQUE INDEX workflow_runs_key ON workflow_runs (workflow, key)
    WHERE key IS NOT NULL AND state <> 'failed' AND state <> 'cancelled' AND state <> 'quarantined';
CREATE INDEX workflow_runs_owned ON workflow_runs (owner, claim_id) WHERE state = 'running';
CREATE INDEX workflow_runs_ended ON workflow_runs (state, finished_at) WHERE finished_at IS NOT NULL;

-- A run's documents and history. Row 0 is its input. The run's row leads to the
-- newest entry, and each entry to the one before: an index would be one page
-- more to write for each checkpoint, and so would a key that puts entries
-- anywhere but at the end, where those of many runs share pages.
CREATE TABLE step_checkpoints (
    entry       INTEGER PRIMARY KEY,
    previous    INTEGER,                       -- entry of the same run
    run_id      TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    step        TEXT,
    turn        INTEGER,
    attempt     INTEGER,                       -- from 1
    item        INTEGER,                       -- of a step that is taken for each of several
    outcome     TEXT CHECK (outcome IN ('completed', 'failed')),
    epoch       INTEGER,
    owner       TEXT,
    state       TEXT,                          -- of the run after the step
    input       TEXT,                          -- of the run, in row 0
    output      TEXT,                          -- of the run, in its last row
    summary     TEXT,                          -- of the run so far
    error       TEXT,
    started_at  INTEGER,
    finished_at INTEGER
) STRICT;

-- What attempts found out, such as the cost of a model call.
CREATE TABLE step_records (
    run_id      TEXT    NOT NULL,
    seq         INTEGER NOT NULL,              -- of the checkpoint or failed attempt
    number      INTEGER NOT NULL,              -- within it
    kind        TEXT    NOT NULL,
    doc         TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (run_id, seq, number)
) STRICT;

-- +goose Down
DROP TABLE step_records;
DROP TABLE step_checkpoints;
DROP TABLE workflow_runs;
