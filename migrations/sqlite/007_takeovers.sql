-- +goose Up

-- One row for each boot whose process died: the next process that opened the
-- database found it there. There is no other node that would see when its runs
-- go on, so the last two columns stay empty.
CREATE TABLE takeovers (
    boot         TEXT    NOT NULL PRIMARY KEY,
    instance_id  TEXT    NOT NULL,
    judge        TEXT    NOT NULL,              -- empty: the process had not joined
    detected_by  TEXT    NOT NULL,              -- lock
    ground       TEXT    NOT NULL CHECK (ground IN ('crashed', 'lapsed')),
    suspected_at INTEGER NOT NULL,
    declared_at  INTEGER NOT NULL,
    released     INTEGER NOT NULL DEFAULT 0,    -- runs
    quarantined  INTEGER NOT NULL DEFAULT 0,    -- runs
    claimed_at   INTEGER,
    resumed_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX takeovers_declared ON takeovers (declared_at);

-- +goose Down
DROP TABLE takeovers;
