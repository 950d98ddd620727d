-- +goose Up

-- Message queues with the names, tables, types and behaviour of the extension
-- pgmq at 1.11, for databases that do not have it: all but partitioned queues,
-- FIFO groups and topics. Schema pgmq holds nothing else, so that the extension
-- can take its place: docs/pgmq.md.
CREATE SCHEMA pgmq;

CREATE TABLE pgmq.meta (
    queue_name     varchar                   NOT NULL UNIQUE,
    is_partitioned boolean                   NOT NULL,
    is_unlogged    boolean                   NOT NULL,
    created_at     timestamptz DEFAULT now() NOT NULL
);

CREATE TABLE pgmq.notify_insert_throttle (
    queue_name           varchar                           NOT NULL UNIQUE REFERENCES pgmq.meta (queue_name) ON DELETE CASCADE,
    throttle_interval_ms integer     DEFAULT 0             NOT NULL,
    last_notified_at     timestamptz DEFAULT to_timestamp(0) NOT NULL
);

CREATE TYPE pgmq.message_record AS (
    msg_id       bigint,
    read_ct      integer,
    enqueued_at  timestamptz,
    last_read_at timestamptz,
    vt           timestamptz,
    message      jsonb,
    headers      jsonb
);

CREATE TYPE pgmq.queue_record AS (
    queue_name     varchar,
    is_partitioned boolean,
    is_unlogged    boolean,
    created_at     timestamptz
);

CREATE TYPE pgmq.metrics_result AS (
    queue_name           text,
    queue_length         bigint,
    newest_msg_age_sec   integer,
    oldest_msg_age_sec   integer,
    total_messages       bigint,
    scrape_time          timestamptz,
    queue_visible_length bigint
);

GRANT USAGE ON SCHEMA pgmq TO pg_monitor;
GRANT SELECT ON ALL TABLES IN SCHEMA pgmq TO pg_monitor;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA pgmq TO pg_monitor;
ALTER DEFAULT PRIVILEGES IN SCHEMA pgmq GRANT SELECT ON TABLES TO pg_monitor;
ALTER DEFAULT PRIVILEGES IN SCHEMA pgmq GRANT SELECT ON SEQUENCES TO pg_monitor;

-- Names.

CREATE FUNCTION pgmq._refuse_name() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'queue name contains invalid characters: $, ;, -- or ''';
END
$$;

-- In SQL, which the planner puts in place of the call: every function has one.
CREATE FUNCTION pgmq.format_table_name(queue_name text, prefix text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN queue_name ~ '\$|;|--|''' THEN pgmq._refuse_name() ELSE lower(prefix || '_' || queue_name) END
$$;

CREATE FUNCTION pgmq.validate_queue_name(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF length(queue_name) > 47 THEN
        RAISE EXCEPTION 'queue name is too long, maximum length is 47 characters';
    END IF;
END
$$;

-- It asks the catalog, since to_regclass may not know yet what another session
-- did while this one waited for the lock of the queue.
CREATE FUNCTION pgmq._has_table(table_name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF table_name IS NULL THEN
        RAISE EXCEPTION 'queue name is null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    RETURN EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = 'pgmq'::regnamespace AND c.relname = $1);
END
$$;

CREATE FUNCTION pgmq.acquire_queue_lock(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pgmq'), hashtext(lower(queue_name)));
END
$$;

-- Queues.

CREATE FUNCTION pgmq._create_queue(queue_name text, unlogged boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    queue   text := pgmq.format_table_name(queue_name, 'q');
    archive text := pgmq.format_table_name(queue_name, 'a');
BEGIN
    PERFORM pgmq.validate_queue_name(queue_name);
    PERFORM pgmq.acquire_queue_lock(queue_name);
    IF NOT pgmq._has_table(queue) THEN
        EXECUTE format($ddl$
            CREATE %2$s TABLE IF NOT EXISTS pgmq.%1$I (
                msg_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                read_ct      integer     DEFAULT 0     NOT NULL,
                enqueued_at  timestamptz DEFAULT now() NOT NULL,
                last_read_at timestamptz,
                vt           timestamptz               NOT NULL,
                message      jsonb,
                headers      jsonb
            )$ddl$, queue, CASE WHEN unlogged THEN 'UNLOGGED' ELSE '' END);
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON pgmq.%I (vt)', queue || '_vt_idx', queue);
        EXECUTE format($ddl$
            CREATE TABLE IF NOT EXISTS pgmq.%1$I (
                msg_id       bigint PRIMARY KEY,
                read_ct      integer     DEFAULT 0     NOT NULL,
                enqueued_at  timestamptz DEFAULT now() NOT NULL,
                last_read_at timestamptz,
                archived_at  timestamptz DEFAULT now() NOT NULL,
                vt           timestamptz               NOT NULL,
                message      jsonb,
                headers      jsonb
            )$ddl$, archive);
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON pgmq.%I (archived_at)', 'archived_at_idx_' || queue_name, archive);
    END IF;
    INSERT INTO pgmq.meta (queue_name, is_partitioned, is_unlogged)
    VALUES ($1, false, unlogged)
    ON CONFLICT DO NOTHING;
END
$$;

CREATE FUNCTION pgmq.create_non_partitioned(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgmq._create_queue(queue_name, false);
END
$$;

CREATE FUNCTION pgmq."create"(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgmq._create_queue(queue_name, false);
END
$$;

CREATE FUNCTION pgmq.create_unlogged(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgmq._create_queue(queue_name, true);
END
$$;

CREATE FUNCTION pgmq.create_partitioned(
    queue_name text, partition_interval text DEFAULT '10000', retention_interval text DEFAULT '100000'
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_partman') THEN
        RAISE EXCEPTION 'pg_partman is required for partitioned queues';
    END IF;
    RAISE EXCEPTION 'partitioned queues need the extension pgmq' USING ERRCODE = 'feature_not_supported';
END
$$;

CREATE FUNCTION pgmq.drop_queue(queue_name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    queue   text := pgmq.format_table_name(queue_name, 'q');
    archive text := pgmq.format_table_name(queue_name, 'a');
BEGIN
    PERFORM pgmq.acquire_queue_lock(queue_name);
    IF NOT pgmq._has_table(queue) THEN
        RAISE NOTICE 'pgmq queue "%" does not exist', queue_name;
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE pgmq.%I', queue);
    EXECUTE format('DROP TABLE IF EXISTS pgmq.%I', archive);
    DELETE FROM pgmq.meta AS m WHERE m.queue_name = $1;
    RETURN true;
END
$$;

CREATE FUNCTION pgmq.purge_queue(queue_name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    queue  text := pgmq.format_table_name(queue_name, 'q');
    purged bigint;
BEGIN
    EXECUTE format('LOCK TABLE pgmq.%I IN ACCESS EXCLUSIVE MODE', queue);
    EXECUTE format('SELECT count(*) FROM pgmq.%I', queue) INTO purged;
    EXECUTE format('TRUNCATE pgmq.%I', queue);
    RETURN purged;
END
$$;

CREATE FUNCTION pgmq.detach_archive(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'detach_archive is deprecated and does nothing: archives are no members of an extension';
END
$$;

CREATE FUNCTION pgmq.list_queues() RETURNS SETOF pgmq.queue_record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT m.queue_name, m.is_partitioned, m.is_unlogged, m.created_at FROM pgmq.meta AS m;
END
$$;

CREATE FUNCTION pgmq.metrics(queue_name text) RETURNS pgmq.metrics_result LANGUAGE plpgsql AS $$
DECLARE
    queue  text := format('pgmq.%I', pgmq.format_table_name(queue_name, 'q'));
    result pgmq.metrics_result;
BEGIN
    EXECUTE format($query$
        SELECT $1, count(*),
            floor(extract(epoch FROM now() - max(q.enqueued_at)))::integer,
            floor(extract(epoch FROM now() - min(q.enqueued_at)))::integer,
            (SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END FROM %2$s AS s),
            now(), count(*) FILTER (WHERE q.vt <= now())
        FROM %1$s AS q$query$, queue, pg_get_serial_sequence(queue, 'msg_id'))
    INTO result USING queue_name;
    RETURN result;
END
$$;

CREATE FUNCTION pgmq.metrics_all() RETURNS SETOF pgmq.metrics_result LANGUAGE plpgsql AS $$
DECLARE
    queue record;
BEGIN
    FOR queue IN SELECT m.queue_name FROM pgmq.meta AS m LOOP
        RETURN NEXT pgmq.metrics(queue.queue_name);
    END LOOP;
END
$$;

-- Sending. Each function has its own statement: calling one of the others would
-- take half as long again.

CREATE FUNCTION pgmq.send(queue_name text, msg jsonb) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message) VALUES (clock_timestamp(), $1) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    INTO id USING msg;
    RETURN NEXT id;
END
$$;

CREATE FUNCTION pgmq.send(queue_name text, msg jsonb, delay integer) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message) VALUES (clock_timestamp() + make_interval(secs => $2), $1) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    INTO id USING msg, delay;
    RETURN NEXT id;
END
$$;

CREATE FUNCTION pgmq.send(queue_name text, msg jsonb, delay timestamptz) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message) VALUES ($2, $1) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    INTO id USING msg, delay;
    RETURN NEXT id;
END
$$;

CREATE FUNCTION pgmq.send(queue_name text, msg jsonb, headers jsonb) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message, headers) VALUES (clock_timestamp(), $1, $2) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    INTO id USING msg, headers;
    RETURN NEXT id;
END
$$;

CREATE FUNCTION pgmq.send(queue_name text, msg jsonb, headers jsonb, delay integer) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message, headers) VALUES (clock_timestamp() + make_interval(secs => $3), $1, $2) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    INTO id USING msg, headers, delay;
    RETURN NEXT id;
END
$$;

CREATE FUNCTION pgmq.send(queue_name text, msg jsonb, headers jsonb, delay timestamptz) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
BEGIN
    EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message, headers) VALUES ($3, $1, $2) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    INTO id USING msg, headers, delay;
    RETURN NEXT id;
END
$$;

-- In SQL, too: a call in PL/pgSQL would copy the arrays.
CREATE FUNCTION pgmq._is_batch(msgs jsonb[], headers jsonb[]) RETURNS boolean LANGUAGE sql AS $$
    SELECT cardinality(msgs) > 0 AND coalesce(cardinality(headers), cardinality(msgs)) = cardinality(msgs)
$$;

CREATE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    IF pgmq._is_batch(msgs, NULL) IS NOT TRUE THEN
        RAISE EXCEPTION 'msgs is null or empty, at least one message is expected';
    END IF;
    RETURN QUERY EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message) SELECT clock_timestamp(), msg FROM unnest($1) AS msg RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    USING msgs;
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], delay integer) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    IF pgmq._is_batch(msgs, NULL) IS NOT TRUE THEN
        RAISE EXCEPTION 'msgs is null or empty, at least one message is expected';
    END IF;
    RETURN QUERY EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message) SELECT clock_timestamp() + make_interval(secs => $2), msg FROM unnest($1) AS msg RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    USING msgs, delay;
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], delay timestamptz) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    IF pgmq._is_batch(msgs, NULL) IS NOT TRUE THEN
        RAISE EXCEPTION 'msgs is null or empty, at least one message is expected';
    END IF;
    RETURN QUERY EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message) SELECT $2, msg FROM unnest($1) AS msg RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    USING msgs, delay;
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], headers jsonb[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    IF pgmq._is_batch(msgs, headers) IS NOT TRUE THEN
        RAISE EXCEPTION 'msgs is null or empty, or headers has another length; as many headers as messages are expected';
    END IF;
    RETURN QUERY EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message, headers) SELECT clock_timestamp(), batch.msg, batch.header FROM unnest($1, $2) AS batch (msg, header) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    USING msgs, headers;
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay integer) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    IF pgmq._is_batch(msgs, headers) IS NOT TRUE THEN
        RAISE EXCEPTION 'msgs is null or empty, or headers has another length; as many headers as messages are expected';
    END IF;
    RETURN QUERY EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message, headers) SELECT clock_timestamp() + make_interval(secs => $3), batch.msg, batch.header FROM unnest($1, $2) AS batch (msg, header) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    USING msgs, headers, delay;
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay timestamptz) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    IF pgmq._is_batch(msgs, headers) IS NOT TRUE THEN
        RAISE EXCEPTION 'msgs is null or empty, or headers has another length; as many headers as messages are expected';
    END IF;
    RETURN QUERY EXECUTE format(
        'INSERT INTO pgmq.%I (vt, message, headers) SELECT $3, batch.msg, batch.header FROM unnest($1, $2) AS batch (msg, header) RETURNING msg_id',
        pgmq.format_table_name(queue_name, 'q'))
    USING msgs, headers, delay;
END
$$;

-- Receiving. Statements find the rows that they change by an array of ids, not
-- by a join, which leaves the planner the primary key alone.

CREATE FUNCTION pgmq.read(queue_name text, vt integer, qty integer, conditional jsonb DEFAULT '{}')
RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
        UPDATE pgmq.%1$I AS q
        SET read_ct = q.read_ct + 1, last_read_at = clock_timestamp(), vt = clock_timestamp() + make_interval(secs => $1)
        WHERE q.msg_id = ANY (ARRAY(
            SELECT due.msg_id
            FROM pgmq.%1$I AS due
            WHERE due.vt <= clock_timestamp() %2$s
            ORDER BY due.msg_id
            LIMIT $2
            FOR UPDATE SKIP LOCKED))
        RETURNING q.msg_id, q.read_ct, q.enqueued_at, q.last_read_at, q.vt, q.message, q.headers$query$,
        pgmq.format_table_name(queue_name, 'q'), CASE WHEN conditional <> '{}' THEN 'AND due.message @> $3' ELSE '' END)
    USING vt, qty, conditional;
END
$$;

CREATE FUNCTION pgmq.read_with_poll(
    queue_name text, vt integer, qty integer,
    max_poll_seconds integer DEFAULT 5, poll_interval_ms integer DEFAULT 100, conditional jsonb DEFAULT '{}'
) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
DECLARE
    stop_at timestamptz := clock_timestamp() + make_interval(secs => max_poll_seconds);
BEGIN
    WHILE clock_timestamp() < stop_at LOOP
        RETURN QUERY
            SELECT r.msg_id, r.read_ct, r.enqueued_at, r.last_read_at, r.vt, r.message, r.headers
            FROM pgmq.read($1, $2, $3, $6) AS r;
        IF FOUND THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(poll_interval_ms / 1000.0);
    END LOOP;
END
$$;

CREATE FUNCTION pgmq.pop(queue_name text, qty integer DEFAULT 1) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
        DELETE FROM pgmq.%1$I AS q
        WHERE q.msg_id = ANY (ARRAY(
            SELECT due.msg_id
            FROM pgmq.%1$I AS due
            WHERE due.vt <= clock_timestamp()
            ORDER BY due.msg_id
            LIMIT $1
            FOR UPDATE SKIP LOCKED))
        RETURNING q.msg_id, q.read_ct, q.enqueued_at, q.last_read_at, q.vt, q.message, q.headers$query$,
        pgmq.format_table_name(queue_name, 'q'))
    USING qty;
END
$$;

CREATE FUNCTION pgmq.set_vt(queue_name text, msg_ids bigint[], vt timestamptz) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
        UPDATE pgmq.%I AS q
        SET vt = $2
        WHERE q.msg_id = ANY ($1)
        RETURNING q.msg_id, q.read_ct, q.enqueued_at, q.last_read_at, q.vt, q.message, q.headers$query$,
        pgmq.format_table_name(queue_name, 'q'))
    USING msg_ids, vt;
END
$$;

CREATE FUNCTION pgmq.set_vt(queue_name text, msg_ids bigint[], vt integer) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT r.msg_id, r.read_ct, r.enqueued_at, r.last_read_at, r.vt, r.message, r.headers
        FROM pgmq.set_vt($1, $2, clock_timestamp() + make_interval(secs => $3)) AS r;
END
$$;

CREATE FUNCTION pgmq.set_vt(queue_name text, msg_id bigint, vt timestamptz) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT r.msg_id, r.read_ct, r.enqueued_at, r.last_read_at, r.vt, r.message, r.headers
        FROM pgmq.set_vt($1, ARRAY[$2], $3) AS r;
END
$$;

CREATE FUNCTION pgmq.set_vt(queue_name text, msg_id bigint, vt integer) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT r.msg_id, r.read_ct, r.enqueued_at, r.last_read_at, r.vt, r.message, r.headers
        FROM pgmq.set_vt($1, ARRAY[$2], clock_timestamp() + make_interval(secs => $3)) AS r;
END
$$;

-- Not in pgmq: without it the call of a client that sends its parameters
-- untyped, as pgmq-js does, fits all of the above and so none.
CREATE FUNCTION pgmq.set_vt(queue_name text, msg_id text, vt text) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT r.msg_id, r.read_ct, r.enqueued_at, r.last_read_at, r.vt, r.message, r.headers
        FROM pgmq.set_vt($1, $2::bigint, $3::integer) AS r;
END
$$;

CREATE FUNCTION pgmq."delete"(queue_name text, msg_ids bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('DELETE FROM pgmq.%I WHERE msg_id = ANY ($1) RETURNING msg_id', pgmq.format_table_name(queue_name, 'q'))
    USING msg_ids;
END
$$;

CREATE FUNCTION pgmq."delete"(queue_name text, msg_id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pgmq.delete($1, ARRAY[$2]));
END
$$;

CREATE FUNCTION pgmq.archive(queue_name text, msg_ids bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
        WITH gone AS (
            DELETE FROM pgmq.%I AS q
            WHERE q.msg_id = ANY ($1)
            RETURNING q.msg_id, q.read_ct, q.enqueued_at, q.last_read_at, q.vt, q.message, q.headers
        )
        INSERT INTO pgmq.%I (msg_id, read_ct, enqueued_at, last_read_at, vt, message, headers)
        SELECT msg_id, read_ct, enqueued_at, last_read_at, vt, message, headers FROM gone
        RETURNING msg_id$query$,
        pgmq.format_table_name(queue_name, 'q'), pgmq.format_table_name(queue_name, 'a'))
    USING msg_ids;
END
$$;

CREATE FUNCTION pgmq.archive(queue_name text, msg_id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pgmq.archive($1, ARRAY[$2]));
END
$$;

-- Notifying. The throttle's row is locked until the sender commits.

CREATE FUNCTION pgmq.notify_queue_listeners() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pgmq.notify_insert_throttle AS t
    SET last_notified_at = clock_timestamp()
    WHERE t.queue_name = TG_ARGV[0]
        AND clock_timestamp() - t.last_notified_at >= make_interval(secs => t.throttle_interval_ms / 1000.0);
    IF FOUND THEN
        PERFORM pg_notify(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME || '.' || TG_OP, NULL);
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION pgmq._check_throttle(throttle_interval_ms integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(throttle_interval_ms, -1) < 0 THEN
        RAISE EXCEPTION 'throttle_interval_ms is %, zero or more is expected', coalesce(throttle_interval_ms::text, 'null');
    END IF;
END
$$;

CREATE FUNCTION pgmq.enable_notify_insert(queue_name text, throttle_interval_ms integer DEFAULT 250) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    queue text := pgmq.format_table_name(queue_name, 'q');
BEGIN
    PERFORM pgmq._check_throttle(throttle_interval_ms);
    PERFORM pgmq.acquire_queue_lock(queue_name);
    IF NOT EXISTS (SELECT FROM pgmq.meta AS m WHERE m.queue_name = $1) THEN
        RAISE EXCEPTION 'queue "%" does not exist, create it first', queue_name;
    END IF;
    PERFORM pgmq.disable_notify_insert(queue_name);
    INSERT INTO pgmq.notify_insert_throttle (queue_name, throttle_interval_ms) VALUES ($1, $2);
    EXECUTE format($ddl$
        CREATE CONSTRAINT TRIGGER trigger_notify_queue_insert_listeners
        AFTER INSERT ON pgmq.%I
        DEFERRABLE FOR EACH ROW EXECUTE FUNCTION pgmq.notify_queue_listeners(%L)$ddl$, queue, queue_name);
END
$$;

CREATE FUNCTION pgmq.disable_notify_insert(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    queue text := pgmq.format_table_name(queue_name, 'q');
BEGIN
    IF EXISTS (
        SELECT FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE t.tgname = 'trigger_notify_queue_insert_listeners' AND c.relname = queue AND c.relnamespace = 'pgmq'::regnamespace
    ) THEN
        EXECUTE format('DROP TRIGGER trigger_notify_queue_insert_listeners ON pgmq.%I', queue);
    END IF;
    DELETE FROM pgmq.notify_insert_throttle AS t WHERE t.queue_name = $1;
END
$$;

CREATE FUNCTION pgmq.update_notify_insert(queue_name text, throttle_interval_ms integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pgmq._check_throttle(throttle_interval_ms);
    UPDATE pgmq.notify_insert_throttle AS t
    SET throttle_interval_ms = $2, last_notified_at = to_timestamp(0)
    WHERE t.queue_name = $1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'queue "%" does not notify, call enable_notify_insert first', queue_name;
    END IF;
END
$$;

CREATE FUNCTION pgmq.list_notify_insert_throttles()
RETURNS TABLE (queue_name text, throttle_interval_ms integer, last_notified_at timestamptz) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        SELECT t.queue_name::text, t.throttle_interval_ms, t.last_notified_at
        FROM pgmq.notify_insert_throttle AS t
        ORDER BY t.queue_name;
END
$$;

-- By this a later version knows the schema for its own, and which one it is.
COMMENT ON SCHEMA pgmq IS 'singularity: pgmq 1.11, revision 1';

-- +goose Down
DROP SCHEMA pgmq CASCADE;
