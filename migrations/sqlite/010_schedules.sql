-- +goose Up

ALTER TABLE schedules ADD COLUMN last_run TEXT;   -- that it started last
ALTER TABLE schedules ADD COLUMN last_error TEXT; -- why its last slot started none

-- +goose Down
ALTER TABLE schedules DROP COLUMN last_run;
ALTER TABLE schedules DROP COLUMN last_error;
