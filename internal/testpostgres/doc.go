// Package testpostgres gives tests Postgres servers of their own, started from
// the installed programs. Where there are none a test fails, and says what to
// do.
//
// A package whose tests need a database calls [Main] in its TestMain. Its tests
// share one server, started for the first that asks: [URL] is a fresh database
// that was migrated, [Empty] one that was not. SINGULARITY_TEST_DATABASE_URL
// names a server to use instead. Tests that stop, kill or copy a server have
// one to themselves from [Start].
//
// A server runs as an unprivileged user and listens on a Unix socket that only
// this user and root can enter. Tests come to it as an ordinary role, which may
// create databases and owns those that it uses. It ends, and its files go, with
// the process of the tests, even when that is killed.
package testpostgres
