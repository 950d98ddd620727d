-- +goose Up

-- What is taught besides policies: the newest of each type and name.
CREATE TABLE centralcloud.lessons (
    type       text        NOT NULL,
    name       text        NOT NULL,           -- of a pattern; else empty
    version    bigint      NOT NULL,           -- rises by type
    epoch      bigint      NOT NULL,           -- of the leader who taught it
    changed_at timestamptz NOT NULL,
    document   json        NOT NULL,           -- null when it was withdrawn
    PRIMARY KEY (type, name)
);

-- +goose Down
DROP TABLE centralcloud.lessons;
