-- +goose Up

-- The runs whose deadline is still to come.
CREATE INDEX workflow_runs_deadline ON workflow_runs (deadline) WHERE deadline IS NOT NULL AND finished_at IS NULL;

-- +goose Down
DROP INDEX workflow_runs_deadline;
