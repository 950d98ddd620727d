-- +goose Up

-- One row for each boot that was declared dead: who noticed, and what became of
-- its runs.
CREATE TABLE singularity.takeovers (
    boot          text        NOT NULL PRIMARY KEY,
    instance_id   text        NOT NULL,
    judge         text        NOT NULL,        -- the boot that declared it dead; empty for one that had not joined
    detected_by   text        NOT NULL,        -- renewal, lease, join, or the word of others, such as gossip
    ground        text        NOT NULL CHECK (ground IN ('crashed', 'lapsed')),
    suspected_at  timestamptz NOT NULL,
    declared_at   timestamptz NOT NULL,
    released      integer     NOT NULL DEFAULT 0, -- runs
    quarantined   integer     NOT NULL DEFAULT 0, -- runs
    claimed_at    timestamptz,                 -- when the first of its runs had an owner again
    resumed_at    timestamptz,                 -- when the first of its runs had a new entry in its history
    -- The runs by which the last two are found: a few of those that are claimed
    -- first, as they stood when they were released.
    traced_runs   uuid[],
    traced_epochs bigint[],
    traced_seqs   bigint[]
);

CREATE INDEX takeovers_declared ON singularity.takeovers (declared_at);

-- +goose Down
DROP TABLE singularity.takeovers;
