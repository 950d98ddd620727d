-- +goose Up

-- How hubs and nodes stand, for those who look after them.
ALTER TABLE leader ADD COLUMN prolonged_at INTEGER;
ALTER TABLE instances ADD COLUMN taught_at INTEGER;

-- +goose Down
ALTER TABLE instances DROP COLUMN taught_at;
ALTER TABLE leader DROP COLUMN prolonged_at;
