package pgmq

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// marker begins the comment on schema pgmq when its functions are ours.
const marker = "singularity: pgmq "

// found is what a database has of pgmq.
type found struct {
	extension string // its version; empty when it is not installed
	schema    bool   // there is a schema pgmq
	complete  bool   // with the table and a function that tell it is one of pgmq
	comment   string // on the schema
	available string // the version of the extension that could be installed; empty for none
}

const lookForPgmq = `
SELECT
    coalesce((SELECT extversion FROM pg_extension WHERE extname = 'pgmq'), ''),
    to_regnamespace('pgmq') IS NOT NULL,
    to_regclass('pgmq.meta') IS NOT NULL AND to_regprocedure('pgmq.read(text, integer, integer, jsonb)') IS NOT NULL,
    coalesce(obj_description(to_regnamespace('pgmq'), 'pg_namespace'), ''),
    coalesce((SELECT default_version FROM pg_available_extensions WHERE name = 'pgmq'), '')`

func look(ctx context.Context, db querier) (found, error) {
	var f found
	err := db.QueryRow(ctx, lookForPgmq).Scan(&f.extension, &f.schema, &f.complete, &f.comment, &f.available)
	return f, err
}

// ours reports that the functions are those of the migrations.
func (f found) ours() bool {
	return f.extension == "" && f.complete && strings.HasPrefix(f.comment, marker)
}

// String names whose functions they are, for people.
func (f found) String() string {
	switch {
	case f.extension != "":
		return "the extension, " + f.extension
	case f.ours():
		return "functions of our own, as in pgmq " + strings.TrimPrefix(f.comment, marker)
	case f.complete:
		return "functions that somebody has installed"
	default:
		return "none"
	}
}

// way is how a database comes to have pgmq.
type way int

const (
	useIt        way = iota // it is there
	tryExtension            // and install our own if that is not allowed
	installOurs
)

// next is what is to be done. Older extensions are refused: their drop_queue
// fails on queues that were not made by them.
func (f found) next() (way, error) {
	switch {
	case f.extension != "" && !suffices(f.extension):
		return 0, fmt.Errorf("the extension pgmq is at version %s; expected %s or later: run ALTER EXTENSION pgmq UPDATE, or give the hub another database",
			f.extension, oldest)
	case f.extension != "" || f.complete:
		return useIt, nil
	case f.schema:
		return 0, fmt.Errorf("there is a schema pgmq without pgmq's table meta and function read(text, integer, integer, jsonb): rename it, or give the hub another database")
	case suffices(f.available):
		return tryExtension, nil
	default:
		return installOurs, nil
	}
}

var oldest = version{1, 6}

// version is the first two numbers of one.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// suffices reports that the hub can use a version of the extension.
func suffices(text string) bool {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		return false
	}
	return major > oldest.major || major == oldest.major && minor >= oldest.minor
}
