-- +goose Up

-- Message queues that behave as those of pgmq do.
CREATE TABLE queues (
    name       TEXT    NOT NULL PRIMARY KEY,
    last_id    INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queue_messages (
    queue        TEXT    NOT NULL REFERENCES queues (name) ON DELETE CASCADE,
    msg_id       INTEGER NOT NULL,
    read_ct      INTEGER NOT NULL DEFAULT 0,
    enqueued_at  INTEGER NOT NULL,
    last_read_at INTEGER,
    vt           INTEGER NOT NULL,
    message      TEXT    CHECK (json_valid(message)),
    headers      TEXT    CHECK (json_valid(headers)),
    PRIMARY KEY (queue, msg_id)
) STRICT;

CREATE TABLE queue_archive (
    queue        TEXT    NOT NULL REFERENCES queues (name) ON DELETE CASCADE,
    msg_id       INTEGER NOT NULL,
    read_ct      INTEGER NOT NULL,
    enqueued_at  INTEGER NOT NULL,
    last_read_at INTEGER,
    archived_at  INTEGER NOT NULL,
    vt           INTEGER NOT NULL,
    message      TEXT,
    headers      TEXT,
    PRIMARY KEY (queue, msg_id)
) STRICT;

-- +goose Down
DROP TABLE queue_archive;
DROP TABLE queue_messages;
DROP TABLE queues;
