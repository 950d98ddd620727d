-- +goose Up

-- Which questions steps asked of models, sealed, by epochs of 30 s: the highest
-- revision of each.
CREATE TABLE repeats (
    instance_id TEXT    NOT NULL,
    boot_id     TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,              -- Unix time at which it begins
    workflow    TEXT    NOT NULL,
    step        TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    asked       TEXT    NOT NULL CHECK (json_valid(asked)),
    PRIMARY KEY (epoch, instance_id, boot_id, workflow, step, provider, model)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE repeats;
