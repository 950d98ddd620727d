-- +goose Up

-- Who leads. Everything that a leader writes is fenced by the epoch. Times are
-- in microseconds, but for those that rows of counters and prices have.
CREATE TABLE leader (
    sole   INTEGER NOT NULL PRIMARY KEY CHECK (sole = 1),
    epoch  INTEGER NOT NULL,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT;

-- The nodes that report.
CREATE TABLE instances (
    instance_id TEXT    NOT NULL PRIMARY KEY,
    boot_id     TEXT    NOT NULL,
    queue       TEXT    NOT NULL,
    heard_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What each boot counted, by epochs of 30 s: the highest revision of each row.
CREATE TABLE counters (
    instance_id       TEXT    NOT NULL,
    boot_id           TEXT    NOT NULL,
    epoch             INTEGER NOT NULL,
    task_type         TEXT    NOT NULL,
    complexity_bucket INTEGER NOT NULL,
    provider          TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    revision          INTEGER NOT NULL,
    counters          TEXT    NOT NULL CHECK (json_valid(counters)),
    PRIMARY KEY (instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_epoch ON counters (epoch);

-- The sums of counters that are too old to change.
CREATE TABLE hours (
    hour              INTEGER NOT NULL,
    task_type         TEXT    NOT NULL,
    complexity_bucket INTEGER NOT NULL,
    provider          TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    counters          TEXT    NOT NULL CHECK (json_valid(counters)),
    PRIMARY KEY (hour, task_type, complexity_bucket, provider, model)
) STRICT, WITHOUT ROWID;

-- Single calls: some of the failures of each row of counters, and of the successes.
CREATE TABLE samples (
    id          TEXT    NOT NULL PRIMARY KEY,
    instance_id TEXT    NOT NULL,
    boot_id     TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    call        TEXT    NOT NULL CHECK (json_valid(call))
) STRICT, WITHOUT ROWID;
CREATE INDEX samples_at ON samples (at);

-- What models charge, in 1e-12 dollars a token, and since when.
CREATE TABLE prices (
    provider    TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    since       INTEGER NOT NULL,
    picousd_in  INTEGER NOT NULL,
    picousd_out INTEGER NOT NULL,
    PRIMARY KEY (provider, model, since)
) STRICT, WITHOUT ROWID;

-- All policies, as they were made.
CREATE TABLE policies (
    version  INTEGER NOT NULL PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    made_at  INTEGER NOT NULL,
    repeats  INTEGER NOT NULL,
    document TEXT    NOT NULL CHECK (json_valid(document))
) STRICT;

-- +goose Down
DROP TABLE policies;
DROP TABLE prices;
DROP TABLE samples;
DROP TABLE hours;
DROP TABLE counters;
DROP TABLE instances;
DROP TABLE leader;
