-- +goose Up

-- How often scores of the calls of a row changed: with it, of as many calls, the
-- higher one is newer.
ALTER TABLE counters ADD COLUMN rescored INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE counters DROP COLUMN rescored;
