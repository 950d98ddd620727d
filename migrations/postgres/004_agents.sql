-- +goose Up

CREATE TABLE singularity.agents (
    name          text        NOT NULL PRIMARY KEY,
    kind          text        NOT NULL CHECK (kind IN ('go', 'attached')),
    boot          text        NOT NULL,        -- the agent's home
    epoch         bigint      NOT NULL,        -- registrations so far
    registered_at timestamptz NOT NULL
);

CREATE TABLE singularity.agent_inbox (
    seq        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the order of arrival
    agent      text        NOT NULL,
    message_id text        NOT NULL,
    source     text        NOT NULL,
    type       text        NOT NULL,
    payload    text        NOT NULL,
    run_id     uuid,                           -- that sent it; null when it was posted
    arrived_at timestamptz NOT NULL,
    done_at    timestamptz,
    UNIQUE (agent, message_id)
);

CREATE INDEX agent_inbox_waiting ON singularity.agent_inbox (agent, seq) WHERE done_at IS NULL;
CREATE INDEX agent_inbox_done ON singularity.agent_inbox (done_at) WHERE done_at IS NOT NULL;

-- +goose Down
DROP TABLE singularity.agent_inbox;
DROP TABLE singularity.agents;
