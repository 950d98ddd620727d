-- +goose Up

-- The boots: starts of processes that own runs. A boot renews its lease every
-- second; its row, not the registry's, decides whether it lives.
CREATE TABLE singularity.node_leases (
    boot         text        NOT NULL PRIMARY KEY,
    instance_id  text        NOT NULL,
    hostname     text        NOT NULL,
    pid          integer     NOT NULL,
    version      text        NOT NULL,
    capabilities json        NOT NULL DEFAULT '{}',
    state        text        NOT NULL DEFAULT 'alive' CHECK (state IN ('alive', 'draining', 'paused', 'left', 'dead')),
    lease_until  timestamptz NOT NULL,
    lock_key     bigint      NOT NULL,         -- of the advisory lock that its session holds
    renewals     bigint      NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    ended_by     text CHECK (ended_by IN ('left', 'crashed', 'lapsed'))
) WITH (
    fillfactor = 50, -- a renewal writes the page that it finds
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500
);

CREATE UNIQUE INDEX node_leases_living ON singularity.node_leases (instance_id) WHERE ended_at IS NULL;
CREATE INDEX node_leases_ended ON singularity.node_leases (ended_at) WHERE ended_at IS NOT NULL;

-- The instances by their labels, for people: each with its latest boot, as of
-- its last heartbeat.
CREATE TABLE singularity.instance_registry (
    instance_id    text        NOT NULL PRIMARY KEY,
    boot           text        NOT NULL,
    hostname       text        NOT NULL,
    pid            integer     NOT NULL,
    status         text        NOT NULL CHECK (status IN ('online', 'draining', 'paused', 'offline')),
    last_heartbeat timestamptz NOT NULL,
    capabilities   jsonb       NOT NULL DEFAULT '{}',
    load           integer     NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL,
    version        text        NOT NULL
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500
);

CREATE INDEX instance_registry_status ON singularity.instance_registry (status);
CREATE INDEX instance_registry_last_heartbeat ON singularity.instance_registry (last_heartbeat);

CREATE VIEW singularity.jobs AS
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
       run.due_at AS scheduled_at,
       run.created_at AS inserted_at,
       run.started_at,
       run.finished_at AS completed_at
FROM singularity.workflow_runs AS run
LEFT JOIN singularity.node_leases AS boot ON boot.boot = run.owner;

-- +goose Down
DROP VIEW singularity.jobs;
DROP TABLE singularity.instance_registry;
DROP TABLE singularity.node_leases;
