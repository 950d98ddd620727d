package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"singularity/persistence"
	"singularity/workflow"
)

// Codes of SQLSTATE, and classes of them, that mean something to a store.
const (
	classData        = "22"
	classConstraint  = "23"
	uniqueViolation  = "23505"
	readOnly         = "25006"
	serialization    = "40001"
	deadlock         = "40P01"
	undefinedTable   = "42P01"
	undefinedSchema  = "3F000"
	lockNotAvailable = "55P03"
)

// advice says of errors that may pass what a person can do about them, by
// their code or its class.
var advice = map[string]string{
	"08":             "the connection to Postgres broke; check the network and the server",
	"28":             "Postgres refuses the user; check the user and password of the database URL, and pg_hba.conf",
	"3D000":          "there is no such database; create it, or correct the database URL",
	"53":             "Postgres is short of resources; free disk or memory, or raise max_connections",
	"57":             "Postgres is shutting down, starting up, or cancelled the statement; see its log",
	"58":             "Postgres has trouble with its disk; see its log",
	readOnly:         "the server is a read-only replica; let the database URL name the primary",
	lockNotAvailable: "an open transaction of another program holds the key or the row; end that transaction",
}

func adviceOn(code string) (string, bool) {
	if len(code) < 2 {
		return "", false
	}
	text, ok := advice[code]
	if !ok {
		text, ok = advice[code[:2]]
	}
	return text, ok
}

// translate turns an error of the driver into one of the contract, for calls
// that may be repeated whatever became of them.
func translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	code := codeOf(err)
	switch {
	case isBadWrite(code):
		return fmt.Errorf("%w: %w", persistence.ErrBadWrite, err)
	case isMissing(err):
		return fmt.Errorf("%w (%w)", persistence.ErrSchemaMissing, err)
	}
	if text, ok := adviceOn(code); ok {
		return fmt.Errorf("%w: %s (%w)", workflow.ErrUnavailable, text, err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("%w: Postgres cannot be reached; check the database URL and that the server runs (%w)", workflow.ErrUnavailable, err)
	}
	if code == "" && isBroken(err) {
		return fmt.Errorf("%w: %s (%w)", workflow.ErrUnavailable, advice["08"], err)
	}
	return err
}

// codeOf is the SQLSTATE of an error, empty when the error is not the server's.
func codeOf(err error) string {
	if cause, ok := errors.AsType[*pgconn.PgError](err); ok {
		return cause.Code
	}
	return ""
}

func isBadWrite(code string) bool {
	return len(code) == 5 && (code[:2] == classData || code[:2] == classConstraint)
}

// isMissing reports that a table is not there.
func isMissing(err error) bool {
	code := codeOf(err)
	return code == undefinedTable || code == undefinedSchema
}

// isBroken reports that the connection failed, not the server.
func isBroken(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

var errClosed = fmt.Errorf("%w: the store is closed", workflow.ErrUnavailable)
