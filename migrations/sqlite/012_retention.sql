-- +goose Up

-- Each queue may keep its ended runs for a time of its own.
DROP INDEX workflow_runs_ended;
CREATE INDEX workflow_runs_ended ON workflow_runs (state, queue, finished_at) WHERE finished_at IS NOT NULL;

ALTER TABLE queues ADD COLUMN retain_completed INTEGER;  -- seconds for completed and cancelled runs
ALTER TABLE queues ADD COLUMN retain_failed INTEGER;     -- seconds for failed and quarantined ones

-- The system's own runs, which delete what has expired: a few at most.
CREATE INDEX workflow_runs_retention ON workflow_runs (finished_at) WHERE workflow = 'singularity.retention';

-- +goose Down
DROP INDEX workflow_runs_retention;
DROP INDEX workflow_runs_ended;
CREATE INDEX workflow_runs_ended ON workflow_runs (state, finished_at) WHERE finished_at IS NOT NULL;
ALTER TABLE queues DROP COLUMN retain_failed;
ALTER TABLE queues DROP COLUMN retain_completed;
