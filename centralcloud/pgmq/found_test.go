package pgmq

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
	"singularity/migrations"
)

func TestWhatIsThereDecidesWhichPgmqIsUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		found   found
		want    way
		refused bool
	}{
		"extension":               {found: found{extension: "1.6.0", schema: true, complete: true}, want: useIt},
		"later extension":         {found: found{extension: "1.11.0", schema: true, complete: true}, want: useIt},
		"extension of the future": {found: found{extension: "2.0", schema: true, complete: true}, want: useIt},
		"old extension":           {found: found{extension: "1.5.1", schema: true, complete: true}, refused: true},
		"extension that is odd":   {found: found{extension: "next", schema: true, complete: true}, refused: true},
		"functions":               {found: found{schema: true, complete: true, available: "1.11.0"}, want: useIt},
		"another schema pgmq":     {found: found{schema: true, available: "1.11.0"}, refused: true},
		"available":               {found: found{available: "1.11.0"}, want: tryExtension},
		"available but old":       {found: found{available: "1.5.1"}, want: installOurs},
		"nothing":                 {want: installOurs},
	} {
		if got, err := c.found.next(); (err != nil) != c.refused || err == nil && got != c.want {
			t.Errorf("%s: %d, %v; want %d, refused %t", name, got, err, c.want, c.refused)
		}
	}
}

// The server of the tests lets nobody create the extension, unless it has it.
func TestFunctionsOfOurOwnComeWhereTheExtensionIsNotAllowed(t *testing.T) {
	t.Parallel()
	steps := migrations.CentralCloudPostgres()
	conn, err := pgx.Connect(t.Context(), testpostgres.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	err = pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error { return tryExtension.take(t.Context(), tx, steps[0]) })
	if err != nil {
		t.Fatal(err)
	}
	there, err := look(t.Context(), conn)
	if err != nil || !there.complete || there.ours() == (there.extension != "") {
		t.Errorf("found %+v, %v; want pgmq, by the extension or ours", there, err)
	}
}
