-- +goose Up

-- One row for each run that ended with a summary.
CREATE TABLE singularity.job_results (
    job_id              uuid        NOT NULL PRIMARY KEY,
    instance_id         text        NOT NULL,
    job_type            text        NOT NULL,
    workflow_type       text        NOT NULL,
    success             boolean     NOT NULL,
    error_reason        text,
    error_class         text,
    duration_ms         bigint      NOT NULL,
    started_at          timestamptz NOT NULL,
    completed_at        timestamptz NOT NULL,
    cost_cents          double precision,
    model_used          text,
    tokens_used         bigint,
    patterns_discovered text[],
    insights            jsonb,
    input_summary       jsonb,
    result_summary      jsonb,
    inserted_at         timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL
);

-- +goose Down
DROP TABLE singularity.job_results;
