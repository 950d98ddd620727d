-- +goose Up

-- Random bytes that the nodes share. They must not leave this database.
CREATE TABLE singularity.secrets (
    name    text        PRIMARY KEY,           -- what it is for
    value   bytea       NOT NULL,
    made_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE singularity.secrets;
