-- +goose Up

-- How good an answer was, from whoever found out later: 0 to 1 by name, as JSON.
-- A record whose scores changed is to be counted again, with all of its epoch.
ALTER TABLE singularity.step_records
    ADD COLUMN scores   text,
    ADD COLUMN rescored bigint,                -- how often the scores changed
    ADD COLUMN recount  boolean;
CREATE INDEX step_records_recount ON singularity.step_records (stored_at) WHERE recount;

-- +goose Down
DROP INDEX singularity.step_records_recount;
ALTER TABLE singularity.step_records
    DROP COLUMN recount,
    DROP COLUMN rescored,
    DROP COLUMN scores;
