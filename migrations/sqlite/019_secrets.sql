-- +goose Up

-- Random bytes that the nodes share. They must not leave this database.
CREATE TABLE secrets (
    name    TEXT    NOT NULL PRIMARY KEY,      -- what it is for
    value   BLOB    NOT NULL,
    made_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE secrets;
