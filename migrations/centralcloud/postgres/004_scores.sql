-- +goose Up

-- How often scores of the calls of a row changed: with it, of as many calls, the
-- higher one is newer.
ALTER TABLE centralcloud.counters ADD COLUMN rescored bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE centralcloud.counters DROP COLUMN rescored;
