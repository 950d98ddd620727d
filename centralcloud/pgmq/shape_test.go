package pgmq_test

import (
	"slices"
	"strings"
	"testing"
)

// functions are the signatures of pgmq 1.11 that clients use, with their
// results.
var functions = []string{
	"acquire_queue_lock(queue_name text) void",
	"archive(queue_name text, msg_id bigint) boolean",
	"archive(queue_name text, msg_ids bigint[]) SETOF bigint",
	"create(queue_name text) void",
	"create_non_partitioned(queue_name text) void",
	"create_unlogged(queue_name text) void",
	"delete(queue_name text, msg_id bigint) boolean",
	"delete(queue_name text, msg_ids bigint[]) SETOF bigint",
	"detach_archive(queue_name text) void",
	"disable_notify_insert(queue_name text) void",
	"drop_queue(queue_name text) boolean",
	"enable_notify_insert(queue_name text, throttle_interval_ms integer DEFAULT 250) void",
	"format_table_name(queue_name text, prefix text) text",
	"list_queues() SETOF pgmq.queue_record",
	"metrics(queue_name text) pgmq.metrics_result",
	"metrics_all() SETOF pgmq.metrics_result",
	"pop(queue_name text, qty integer DEFAULT 1) SETOF pgmq.message_record",
	"purge_queue(queue_name text) bigint",
	"read(queue_name text, vt integer, qty integer, conditional jsonb DEFAULT '{}'::jsonb) SETOF pgmq.message_record",
	"read_with_poll(queue_name text, vt integer, qty integer, max_poll_seconds integer DEFAULT 5, poll_interval_ms integer DEFAULT 100, conditional jsonb DEFAULT '{}'::jsonb) SETOF pgmq.message_record",
	"send(queue_name text, msg jsonb) SETOF bigint",
	"send(queue_name text, msg jsonb, delay integer) SETOF bigint",
	"send(queue_name text, msg jsonb, delay timestamp with time zone) SETOF bigint",
	"send(queue_name text, msg jsonb, headers jsonb) SETOF bigint",
	"send(queue_name text, msg jsonb, headers jsonb, delay integer) SETOF bigint",
	"send(queue_name text, msg jsonb, headers jsonb, delay timestamp with time zone) SETOF bigint",
	"send_batch(queue_name text, msgs jsonb[]) SETOF bigint",
	"send_batch(queue_name text, msgs jsonb[], delay integer) SETOF bigint",
	"send_batch(queue_name text, msgs jsonb[], delay timestamp with time zone) SETOF bigint",
	"send_batch(queue_name text, msgs jsonb[], headers jsonb[]) SETOF bigint",
	"send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay integer) SETOF bigint",
	"send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay timestamp with time zone) SETOF bigint",
	"set_vt(queue_name text, msg_id bigint, vt integer) SETOF pgmq.message_record",
	"set_vt(queue_name text, msg_id bigint, vt timestamp with time zone) SETOF pgmq.message_record",
	"set_vt(queue_name text, msg_ids bigint[], vt integer) SETOF pgmq.message_record",
	"set_vt(queue_name text, msg_ids bigint[], vt timestamp with time zone) SETOF pgmq.message_record",
	"update_notify_insert(queue_name text, throttle_interval_ms integer) void",
	"validate_queue_name(queue_name text) void",
}

func TestFunctionsHaveTheSignaturesOfPgmq(t *testing.T) {
	t.Parallel()
	d := setup(t)
	got := all[string](d, `
		SELECT p.proname || '(' || pg_get_function_arguments(p.oid) || ') ' || pg_get_function_result(p.oid)
		FROM pg_proc AS p
		WHERE p.pronamespace = 'pgmq'::regnamespace AND p.provolatile = 'v' AND NOT p.prosecdef`)
	for _, signature := range functions {
		if !slices.Contains(got, signature) {
			t.Errorf("there is no function %s that is volatile and runs with its caller's rights", signature)
		}
	}
}

func TestTypesHaveTheFieldsOfPgmqInTheirOrder(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for name, want := range map[string]string{
		"message_record": "msg_id bigint, read_ct integer, enqueued_at timestamp with time zone, last_read_at timestamp with time zone, vt timestamp with time zone, message jsonb, headers jsonb",
		"queue_record":   "queue_name character varying, is_partitioned boolean, is_unlogged boolean, created_at timestamp with time zone",
		"metrics_result": "queue_name text, queue_length bigint, newest_msg_age_sec integer, oldest_msg_age_sec integer, total_messages bigint, scrape_time timestamp with time zone, queue_visible_length bigint",
	} {
		fields := all[string](d, `
			SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
			FROM pg_type AS t JOIN pg_attribute AS a ON a.attrelid = t.typrelid
			WHERE t.typnamespace = 'pgmq'::regnamespace AND t.typname = $1
			ORDER BY a.attnum`, name)
		if got := strings.Join(fields, ", "); got != want {
			t.Errorf("type %s has %s, want %s", name, got, want)
		}
	}
}

func TestTablesHaveTheShapeOfPgmq(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("Jobs")
	for name, want := range map[string][]string{
		"q_jobs": {
			"enqueued_at timestamp with time zone NOT NULL DEFAULT now()", "headers jsonb", "last_read_at timestamp with time zone",
			"message jsonb", "msg_id bigint NOT NULL ALWAYS", "read_ct integer NOT NULL DEFAULT 0", "vt timestamp with time zone NOT NULL",
		},
		"a_jobs": {
			"archived_at timestamp with time zone NOT NULL DEFAULT now()",
			"enqueued_at timestamp with time zone NOT NULL DEFAULT now()", "headers jsonb", "last_read_at timestamp with time zone",
			"message jsonb", "msg_id bigint NOT NULL", "read_ct integer NOT NULL DEFAULT 0", "vt timestamp with time zone NOT NULL",
		},
		"meta": {
			"created_at timestamp with time zone NOT NULL DEFAULT now()", "is_partitioned boolean NOT NULL",
			"is_unlogged boolean NOT NULL", "queue_name character varying NOT NULL",
		},
	} {
		columns := all[string](d, `
			SELECT concat_ws(' ', column_name, data_type, CASE is_nullable WHEN 'NO' THEN 'NOT NULL' END, identity_generation, 'DEFAULT ' || column_default)
			FROM information_schema.columns
			WHERE table_schema = 'pgmq' AND table_name = $1
			ORDER BY column_name`, name)
		if !slices.Equal(columns, want) {
			t.Errorf("table %s has %q, want %q", name, columns, want)
		}
	}
	indexes := all[string](d, `
		SELECT indexname || replace(substring(indexdef FROM ' USING .*'), ' USING', '')
		FROM pg_indexes
		WHERE schemaname = 'pgmq' AND tablename <> 'notify_insert_throttle'
		ORDER BY indexname COLLATE "C"`)
	want := []string{
		"a_jobs_pkey btree (msg_id)", "archived_at_idx_Jobs btree (archived_at)", "meta_queue_name_key btree (queue_name)",
		"q_jobs_pkey btree (msg_id)", "q_jobs_vt_idx btree (vt)",
	}
	if !slices.Equal(indexes, want) {
		t.Errorf("indexes %q, want %q", indexes, want)
	}
	d.holds(`SELECT pg_get_serial_sequence('pgmq.q_jobs', 'msg_id') = 'pgmq.q_jobs_msg_id_seq'`)
	d.holds(`SELECT NOT EXISTS (SELECT FROM pg_index WHERE indrelid = 'pgmq.meta'::regclass AND indisprimary)`)
}

func TestMonitorsMayLookAndOthersMayNot(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.create("jobs")
	d.holds(`SELECT has_schema_privilege('pg_monitor', 'pgmq', 'USAGE') AND NOT has_schema_privilege('pg_monitor', 'pgmq', 'CREATE')`)
	for _, table := range []string{"meta", "q_jobs", "a_jobs", "notify_insert_throttle"} {
		d.holds(`SELECT has_table_privilege('pg_monitor', 'pgmq.' || $1, 'SELECT') AND NOT has_table_privilege('pg_monitor', 'pgmq.' || $1, 'INSERT')`, table)
	}
	d.holds(`SELECT has_sequence_privilege('pg_monitor', 'pgmq.q_jobs_msg_id_seq', 'SELECT')`)
	d.holds(`SELECT NOT has_schema_privilege('pg_read_all_settings', 'pgmq', 'USAGE')`)
}

func TestWhatIsLeftOutIsNotThere(t *testing.T) {
	t.Parallel()
	d := setup(t)
	if !one[bool](d, `SELECT NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgmq')`) {
		return // the extension has it
	}
	for _, call := range []string{
		`read_grouped('jobs', 1, 1)`, `read_grouped_rr('jobs', 1, 1)`, `create_fifo_index('jobs')`,
		`send_topic('a.b', '{}')`, `bind_topic('a.#', 'jobs')`, `convert_archive_partitioned('jobs')`,
	} {
		d.fails(noFunction, "does not exist", `SELECT pgmq.`+call)
	}
	d.fails(raised, "pg_partman is required for partitioned queues", `SELECT pgmq.create_partitioned('jobs', '100', '1000')`)
}
