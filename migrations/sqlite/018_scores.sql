-- +goose Up

-- How good an answer was, from whoever found out later: 0 to 1 by name, as JSON.
-- A record whose scores changed is to be counted again, with all of its epoch.
ALTER TABLE step_records ADD COLUMN scores TEXT;
ALTER TABLE step_records ADD COLUMN rescored INTEGER; -- how often the scores changed
ALTER TABLE step_records ADD COLUMN recount INTEGER;
CREATE INDEX step_records_recount ON step_records (stored_at) WHERE recount;

-- +goose Down
DROP INDEX step_records_recount;
ALTER TABLE step_records DROP COLUMN recount;
ALTER TABLE step_records DROP COLUMN rescored;
ALTER TABLE step_records DROP COLUMN scores;
