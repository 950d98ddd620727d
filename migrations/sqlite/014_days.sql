-- +goose Up

-- An embedded database is not partitioned.

-- +goose Down
