-- +goose Up

-- The partitions of step_checkpoints that hold the runs of a time, by their ids,
-- once "singularity migrate partition" has made it a partitioned table: a day
-- each, and the first one all that came before. Until then there are none. A day
-- is over an hour after its end, since clocks differ.
CREATE VIEW singularity.checkpoint_days AS
SELECT part.name, part.first_id, part.next_id, part.ends_at, part.ends_at < now() - interval '1 hour' AS over
FROM pg_inherits AS link
JOIN pg_class AS child ON child.oid = ANY (ARRAY[link.inhrelid]) -- leaves one way to look them up
CROSS JOIN LATERAL pg_get_expr(child.relpartbound, child.oid) AS bounds
CROSS JOIN LATERAL (
    SELECT child.relname::text AS name,
        coalesce((regexp_match(bounds, 'FROM \(''([^'']*)''\)'))[1], '00000000-0000-0000-0000-000000000000')::uuid AS first_id,
        (regexp_match(bounds, 'TO \(''([^'']*)''\)'))[1]::uuid AS next_id,
        to_timestamp(('x' || translate((regexp_match(bounds, 'TO \(''([^'']{13})'))[1], '-', ''))::bit(48)::bigint / 1000.0) AS ends_at
) AS part
WHERE link.inhparent = to_regclass('singularity.step_checkpoints') AND part.next_id IS NOT NULL;

-- +goose Down
DROP VIEW singularity.checkpoint_days;

-- What is partitioned becomes one table again. The rows of runs that are gone
-- were to be dropped with their day.
DO $$
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'singularity.step_checkpoints'::regclass) = 'p' THEN
        LOCK TABLE singularity.step_checkpoints;
        CREATE TABLE singularity.step_checkpoints_whole (LIKE singularity.step_checkpoints) WITH (
            autovacuum_vacuum_scale_factor = 0.05,
            autovacuum_vacuum_insert_scale_factor = 0.5
        );
        INSERT INTO singularity.step_checkpoints_whole
        SELECT entry.*
        FROM singularity.step_checkpoints AS entry
        JOIN singularity.workflow_runs AS run ON run.id = entry.run_id;
        DROP TABLE singularity.step_checkpoints;
        ALTER TABLE singularity.step_checkpoints_whole RENAME TO step_checkpoints;
        ALTER TABLE singularity.step_checkpoints ADD PRIMARY KEY (run_id, seq);
    END IF;
END $$;
