-- +goose Up

-- What is taught besides policies: the newest of each type and name.
CREATE TABLE lessons (
    type       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    document   TEXT    NOT NULL CHECK (json_valid(document)),
    PRIMARY KEY (type, name)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE lessons;
