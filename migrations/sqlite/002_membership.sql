-- +goose Up

-- The boots: starts of processes that own runs. The lock on the database's
-- directory is the lease; opening the database ends all boots from before.
CREATE TABLE node_leases (
    boot         TEXT    NOT NULL PRIMARY KEY,
    instance_id  TEXT    NOT NULL,
    hostname     TEXT    NOT NULL,
    pid          INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    capabilities TEXT    NOT NULL DEFAULT '{}',
    state        TEXT    NOT NULL DEFAULT 'alive' CHECK (state IN ('alive', 'draining', 'paused', 'left', 'dead')),
    created_at   INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT, WITHOUT ROWID;

-- The instances by their labels, each with its latest boot. A living boot's
-- heartbeat is now, since it holds the lock; nothing is written for it.
CREATE VIEW instance_registry AS
SELECT boot.instance_id,
       boot.hostname,
       boot.pid,
       CASE boot.state
           WHEN 'alive' THEN 'online'
           WHEN 'draining' THEN 'draining'
           WHEN 'paused' THEN 'paused'
           ELSE 'offline'
       END AS status,
       CASE WHEN boot.ended_at IS NULL
           THEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
           ELSE strftime('%Y-%m-%dT%H:%M:%fZ', boot.ended_at / 1e6, 'unixepoch')
       END AS last_heartbeat,
       boot.capabilities,
       (SELECT count(*) FROM workflow_runs AS run WHERE run.state = 'running' AND run.owner = boot.boot) AS load,
       strftime('%Y-%m-%dT%H:%M:%fZ', boot.created_at / 1e6, 'unixepoch') AS created_at,
       boot.version
FROM node_leases AS boot
WHERE NOT EXISTS (
    SELECT 1
    FROM node_leases AS later
    WHERE later.instance_id = boot.instance_id AND (later.created_at, later.boot) > (boot.created_at, boot.boot)
);

CREATE VIEW jobs AS
SELECT run.id,
       run.workflow AS job_type,
       run.queue,
       CASE run.state WHEN 'running' THEN 'executing' ELSE run.state END AS state,
       coalesce(boot.instance_id, run.owner) AS reserved_by,
       run.priority,
       run.key,
       run.step,
       run.attempt,
       run.error,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.due_at / 1e6, 'unixepoch') AS scheduled_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.created_at / 1e6, 'unixepoch') AS inserted_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.started_at / 1e6, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', run.finished_at / 1e6, 'unixepoch') AS completed_at
FROM workflow_runs AS run
LEFT JOIN node_leases AS boot ON boot.boot = run.owner;

-- +goose Down
DROP VIEW jobs;
DROP VIEW instance_registry;
DROP TABLE node_leases;
