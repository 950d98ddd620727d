package bench

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Relation is a table of a Postgres database, or an index of one.
type Relation struct {
	Name     string  `json:"name"`
	MiB      float64 `json:"mib"`
	LiveRows int64   `json:"live_rows,omitempty"` // as the server's statistics have it; tables only
	DeadRows int64   `json:"dead_rows,omitempty"`
}

const relationSizes = `
SELECT class.relname, pg_relation_size(class.oid) / 1048576.0, coalesce(stat.n_live_tup, 0), coalesce(stat.n_dead_tup, 0)
FROM pg_class AS class
LEFT JOIN pg_stat_user_tables AS stat ON stat.relid = class.oid
WHERE class.relnamespace = 'singularity'::regnamespace AND class.relkind IN ('r', 'i') AND pg_relation_size(class.oid) > 1048576
ORDER BY pg_relation_size(class.oid) DESC, class.relname`

// relations lists what is larger than a mebibyte, the largest first.
func relations(ctx context.Context, url string) ([]Relation, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("measure the relations: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, _ := conn.Query(ctx, relationSizes)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Relation])
	if err != nil {
		return nil, fmt.Errorf("measure the relations: %w", err)
	}
	return found, nil
}
