-- +goose Up

-- How hubs and nodes stand, for those who look after them.
ALTER TABLE centralcloud.leader ADD COLUMN prolonged_at timestamptz;
ALTER TABLE centralcloud.instances ADD COLUMN taught_at timestamptz; -- when its queue got something last

-- +goose Down
ALTER TABLE centralcloud.instances DROP COLUMN taught_at;
ALTER TABLE centralcloud.leader DROP COLUMN prolonged_at;
