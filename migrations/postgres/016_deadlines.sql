-- +goose Up

-- What the system looks for by itself: the runs whose deadline is still to come,
-- and its own, which have none and delete what has expired. They share an index,
-- since each statement opens and locks every one of the table.
CREATE INDEX workflow_runs_tended ON singularity.workflow_runs (deadline)
    WHERE (deadline IS NOT NULL AND finished_at IS NULL) OR workflow = 'singularity.retention';
DROP INDEX singularity.workflow_runs_retention; -- last, since it keeps readers out until the end

-- +goose Down
DROP INDEX singularity.workflow_runs_tended;
CREATE INDEX workflow_runs_retention ON singularity.workflow_runs (finished_at) WHERE workflow = 'singularity.retention';
