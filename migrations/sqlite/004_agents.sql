-- +goose Up

CREATE TABLE agents (
    name          TEXT    NOT NULL PRIMARY KEY,
    kind          TEXT    NOT NULL CHECK (kind IN ('go', 'attached')),
    boot          TEXT    NOT NULL,            -- the agent's home
    epoch         INTEGER NOT NULL,            -- registrations so far
    registered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_inbox (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of arrival; never used twice
    agent      TEXT    NOT NULL,
    message_id TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    payload    TEXT    NOT NULL,
    run_id     TEXT,                           -- that sent it; null when it was posted
    arrived_at INTEGER NOT NULL,
    done_at    INTEGER,
    UNIQUE (agent, message_id)
) STRICT;

CREATE INDEX agent_inbox_waiting ON agent_inbox (agent, seq) WHERE done_at IS NULL;
CREATE INDEX agent_inbox_done ON agent_inbox (done_at) WHERE done_at IS NOT NULL;

-- +goose Down
DROP TABLE agent_inbox;
DROP TABLE agents;
