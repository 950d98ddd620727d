-- +goose Up

CREATE TABLE singularity.api_tokens (
    id           text        NOT NULL PRIMARY KEY, -- the part of the token that is no secret
    name         text        NOT NULL,
    scope        text        NOT NULL CHECK (scope IN ('read', 'run', 'admin')),
    hash         bytea       NOT NULL CHECK (length(hash) = 32), -- SHA-256 of the whole token
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,                      -- null: never
    revoked_at   timestamptz,
    last_used_at timestamptz                       -- to the minute
);

-- +goose Down
DROP TABLE singularity.api_tokens;
