package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"singularity/internal/testpostgres"
)

func connectTo(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disconnect(conn) })
	return conn
}

func TestDatabaseIsToldFromOthers(t *testing.T) {
	t.Parallel()
	identity := func(url string) string {
		t.Helper()
		store, err := Open(t.Context(), Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		found, err := store.Identity(t.Context())
		if err != nil || found == "" {
			t.Fatalf("identity %q, %v", found, err)
		}
		if again, err := IdentityOf(t.Context(), connectTo(t, url)); err != nil || again != found {
			t.Errorf("another connection is told %q, %v; want %q", again, err, found)
		}
		return found
	}
	if one, other := identity(testpostgres.URL(t)), identity(testpostgres.URL(t)); one == other {
		t.Errorf("both databases are %s", one)
	}
}

// A service that keeps to itself what its server is.
func TestDatabaseOfAClosedServiceIsToldFromOthers(t *testing.T) {
	t.Parallel()
	identity := func(url string) string {
		t.Helper()
		conn := connectTo(t, url)
		found, err := identify(func(query string) (identity string, err error) {
			if query == selectIdentity {
				return "", &pgconn.PgError{Code: "42501", Message: "permission denied for function pg_control_system"}
			}
			err = conn.QueryRow(t.Context(), query).Scan(&identity)
			return identity, err
		})
		if err != nil || found == "" {
			t.Fatalf("identity %q, %v", found, err)
		}
		return found
	}
	if one, other := identity(testpostgres.URL(t)), identity(testpostgres.URL(t)); one == other {
		t.Errorf("both databases are %s", one)
	}
}
