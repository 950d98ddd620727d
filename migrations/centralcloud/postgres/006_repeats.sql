-- +goose Up

-- Which questions steps asked of models, sealed, by epochs of 30 s: the highest
-- revision of each.
CREATE TABLE centralcloud.repeats (
    instance_id text   NOT NULL,
    boot_id     text   NOT NULL,
    epoch       bigint NOT NULL,               -- Unix time at which it begins
    workflow    text   NOT NULL,
    step        text   NOT NULL,
    provider    text   NOT NULL,
    model       text   NOT NULL,
    revision    bigint NOT NULL,
    asked       jsonb  NOT NULL,
    PRIMARY KEY (epoch, instance_id, boot_id, workflow, step, provider, model)
);

-- +goose Down
DROP TABLE centralcloud.repeats;
