-- +goose Up

ALTER TABLE singularity.schedules
    ADD COLUMN last_run uuid,                  -- that it started last
    ADD COLUMN last_error text;                -- why its last slot started none

-- +goose Down
ALTER TABLE singularity.schedules
    DROP COLUMN last_run,
    DROP COLUMN last_error;
