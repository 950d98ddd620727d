-- +goose Up

-- Who leads. Everything that a leader writes is fenced by the epoch.
CREATE TABLE centralcloud.leader (
    sole   boolean     PRIMARY KEY DEFAULT true CHECK (sole),
    epoch  bigint      NOT NULL,
    holder text        NOT NULL,
    until  timestamptz NOT NULL
);

-- The nodes that report.
CREATE TABLE centralcloud.instances (
    instance_id text        PRIMARY KEY,
    boot_id     text        NOT NULL,
    queue       text        NOT NULL,          -- that it reads
    heard_at    timestamptz NOT NULL
);

-- What each boot counted, by epochs of 30 s: the highest revision of each row.
CREATE TABLE centralcloud.counters (
    instance_id       text     NOT NULL,
    boot_id           text     NOT NULL,
    epoch             bigint   NOT NULL,       -- Unix time at which it begins
    task_type         text     NOT NULL,
    complexity_bucket smallint NOT NULL,
    provider          text     NOT NULL,
    model             text     NOT NULL,
    revision          bigint   NOT NULL,
    counters          jsonb    NOT NULL,
    PRIMARY KEY (instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model)
);
CREATE INDEX counters_epoch ON centralcloud.counters (epoch);

-- The sums of counters that are too old to change.
CREATE TABLE centralcloud.hours (
    hour              bigint   NOT NULL,       -- Unix time at which it begins
    task_type         text     NOT NULL,
    complexity_bucket smallint NOT NULL,
    provider          text     NOT NULL,
    model             text     NOT NULL,
    counters          jsonb    NOT NULL,
    PRIMARY KEY (hour, task_type, complexity_bucket, provider, model)
);

-- Single calls: some of the failures of each row of counters, and of the successes.
CREATE TABLE centralcloud.samples (
    id          text        PRIMARY KEY,       -- run/sequence/number
    instance_id text        NOT NULL,
    boot_id     text        NOT NULL,
    at          timestamptz NOT NULL,
    call        jsonb       NOT NULL
);
CREATE INDEX samples_at ON centralcloud.samples (at);

-- What models charge, in 1e-12 dollars a token, and since when.
CREATE TABLE centralcloud.prices (
    provider    text   NOT NULL,
    model       text   NOT NULL,
    since       bigint NOT NULL,               -- Unix time
    picousd_in  bigint NOT NULL,
    picousd_out bigint NOT NULL,
    PRIMARY KEY (provider, model, since)
);

-- All policies, as they were made.
CREATE TABLE centralcloud.policies (
    version  bigint      PRIMARY KEY,
    epoch    bigint      NOT NULL,             -- of the leader who made it
    made_at  timestamptz NOT NULL,
    repeats  boolean     NOT NULL,             -- the choices of the version before
    document json        NOT NULL
);

-- +goose Down
DROP TABLE centralcloud.policies;
DROP TABLE centralcloud.prices;
DROP TABLE centralcloud.samples;
DROP TABLE centralcloud.hours;
DROP TABLE centralcloud.counters;
DROP TABLE centralcloud.instances;
DROP TABLE centralcloud.leader;
