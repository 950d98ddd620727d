package pgmq_test

import (
	"testing"

	"singularity/centralcloud/hubtest"
	"singularity/internal/testpostgres"
)

func BenchmarkLook(b *testing.B) {
	store := open(b, testpostgres.URL(b))
	hubtest.BenchmarkLook(b, store)
	conn := connect(b, store.url)
	for _, q := range []string{
		`ANALYZE centralcloud.counters`,
		`ANALYZE centralcloud.samples`,
		`EXPLAIN (ANALYZE, BUFFERS) SELECT instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, counters
FROM centralcloud.counters WHERE epoch >= (extract(epoch from now())::bigint - 3600) AND epoch < (extract(epoch from now())::bigint - 3300)`,
		`EXPLAIN (ANALYZE, BUFFERS) SELECT id, boot_id, at, call FROM centralcloud.samples WHERE at >= now() - interval '1 hour' AND at < now() - interval '55 minutes' ORDER BY substr(id, 25, 12) COLLATE "C", id COLLATE "C" LIMIT 2000`,
		`EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM centralcloud.repeats WHERE epoch >= (extract(epoch from now())::bigint - 3600) AND epoch < (extract(epoch from now())::bigint - 3300)`,
	} {
		rows, err := conn.Query(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			var line string
			_ = rows.Scan(&line)
			b.Log(line)
		}
	}
}
