-- +goose Up

CREATE TABLE api_tokens (
    id           TEXT    NOT NULL PRIMARY KEY,     -- the part of the token that is no secret
    name         TEXT    NOT NULL,
    scope        TEXT    NOT NULL CHECK (scope IN ('read', 'run', 'admin')),
    hash         BLOB    NOT NULL CHECK (length(hash) = 32), -- SHA-256 of the whole token
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,                          -- null: never
    revoked_at   INTEGER,
    last_used_at INTEGER                           -- to the minute
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE api_tokens;
