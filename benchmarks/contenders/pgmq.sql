-- What pgflow's SQL calls of the pgmq extension (1.5) and of Supabase, written
-- for the benchmarks: enough to run a flow, and no more. Sending, reading and
-- archiving do the same reads and writes on the same tables and indexes as the
-- extension's functions. Realtime's messages go nowhere, so a real Supabase
-- does more work than this.

CREATE SCHEMA pgmq;

CREATE TABLE pgmq.meta (
	queue_name     varchar UNIQUE NOT NULL,
	is_partitioned boolean NOT NULL,
	is_unlogged    boolean NOT NULL,
	created_at     timestamptz DEFAULT now() NOT NULL
);

CREATE TYPE pgmq.message_record AS (
	msg_id      bigint,
	read_ct     integer,
	enqueued_at timestamptz,
	vt          timestamptz,
	message     jsonb,
	headers     jsonb
);

CREATE TYPE pgmq.queue_record AS (
	queue_name     varchar,
	is_partitioned boolean,
	is_unlogged    boolean,
	created_at     timestamptz
);

CREATE FUNCTION pgmq.format_table_name(queue_name text, prefix text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT lower(prefix || '_' || queue_name)
$$;

CREATE FUNCTION pgmq.list_queues() RETURNS SETOF pgmq.queue_record LANGUAGE sql AS $$
	SELECT queue_name, is_partitioned, is_unlogged, created_at FROM pgmq.meta
$$;

CREATE FUNCTION pgmq.create(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	queue   text := pgmq.format_table_name(queue_name, 'q');
	archive text := pgmq.format_table_name(queue_name, 'a');
BEGIN
	EXECUTE format(
		'CREATE TABLE pgmq.%I (
			msg_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			read_ct     integer DEFAULT 0 NOT NULL,
			enqueued_at timestamptz DEFAULT now() NOT NULL,
			vt          timestamptz NOT NULL,
			message     jsonb,
			headers     jsonb
		)', queue);
	EXECUTE format(
		'CREATE TABLE pgmq.%I (
			msg_id      bigint PRIMARY KEY,
			read_ct     integer DEFAULT 0 NOT NULL,
			enqueued_at timestamptz DEFAULT now() NOT NULL,
			archived_at timestamptz DEFAULT now() NOT NULL,
			vt          timestamptz NOT NULL,
			message     jsonb,
			headers     jsonb
		)', archive);
	EXECUTE format('CREATE INDEX ON pgmq.%I (vt)', queue);
	EXECUTE format('CREATE INDEX ON pgmq.%I (archived_at)', archive);
	INSERT INTO pgmq.meta (queue_name, is_partitioned, is_unlogged) VALUES ($1, false, false);
END
$$;

CREATE FUNCTION pgmq.send_batch(queue_name text, msgs jsonb[], delay integer) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'INSERT INTO pgmq.%I (vt, message)
		SELECT clock_timestamp() + make_interval(secs => $2), message FROM unnest($1) AS message
		RETURNING msg_id', pgmq.format_table_name(queue_name, 'q'))
	USING msgs, delay;
END
$$;

CREATE FUNCTION pgmq.send(queue_name text, msg jsonb, delay integer) RETURNS SETOF bigint LANGUAGE sql AS $$
	SELECT pgmq.send_batch(queue_name, ARRAY[msg], delay)
$$;

CREATE FUNCTION pgmq.send(queue_name text, msg jsonb) RETURNS SETOF bigint LANGUAGE sql AS $$
	SELECT pgmq.send(queue_name, msg, 0)
$$;

CREATE FUNCTION pgmq.read(queue_name text, vt integer, qty integer) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'WITH due AS (
			SELECT msg_id FROM pgmq.%1$I
			WHERE vt <= clock_timestamp()
			ORDER BY msg_id LIMIT $1
			FOR UPDATE SKIP LOCKED
		)
		UPDATE pgmq.%1$I AS q
		SET vt = clock_timestamp() + make_interval(secs => $2), read_ct = read_ct + 1
		FROM due WHERE q.msg_id = due.msg_id
		RETURNING q.msg_id, q.read_ct, q.enqueued_at, q.vt, q.message, q.headers', pgmq.format_table_name(queue_name, 'q'))
	USING qty, vt;
END
$$;

CREATE FUNCTION pgmq.read_with_poll(
	queue_name text, vt integer, qty integer, max_poll_seconds integer DEFAULT 5, poll_interval_ms integer DEFAULT 100
) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
DECLARE
	give_up timestamptz := clock_timestamp() + make_interval(secs => max_poll_seconds);
BEGIN
	WHILE clock_timestamp() < give_up LOOP
		RETURN QUERY SELECT * FROM pgmq.read(queue_name, vt, qty);
		IF FOUND THEN
			RETURN;
		END IF;
		PERFORM pg_sleep(poll_interval_ms / 1000.0);
	END LOOP;
END
$$;

CREATE FUNCTION pgmq.set_vt(queue_name text, msg_id bigint, vt integer) RETURNS SETOF pgmq.message_record LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'UPDATE pgmq.%I SET vt = clock_timestamp() + make_interval(secs => $2) WHERE msg_id = $1
		RETURNING msg_id, read_ct, enqueued_at, vt, message, headers', pgmq.format_table_name(queue_name, 'q'))
	USING msg_id, vt;
END
$$;

CREATE FUNCTION pgmq.archive(queue_name text, msg_ids bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'WITH gone AS (
			DELETE FROM pgmq.%I WHERE msg_id = ANY ($1)
			RETURNING msg_id, read_ct, enqueued_at, vt, message, headers
		)
		INSERT INTO pgmq.%I (msg_id, read_ct, enqueued_at, vt, message, headers)
		SELECT msg_id, read_ct, enqueued_at, vt, message, headers FROM gone
		RETURNING msg_id', pgmq.format_table_name(queue_name, 'q'), pgmq.format_table_name(queue_name, 'a'))
	USING msg_ids;
END
$$;

CREATE FUNCTION pgmq.archive(queue_name text, msg_id bigint) RETURNS boolean LANGUAGE sql AS $$
	SELECT EXISTS (SELECT 1 FROM pgmq.archive(queue_name, ARRAY[msg_id]))
$$;

CREATE SCHEMA realtime;

CREATE FUNCTION realtime.send(payload jsonb, event text, topic text, private boolean DEFAULT true) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
END
$$;
