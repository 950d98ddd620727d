package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"singularity/persistence"
	"singularity/workflow"
)

// Codes of SQLSTATE, and classes of them, that mean something to a store.
const (
	classConnection  = "08"
	classData        = "22"
	classConstraint  = "23"
	uniqueViolation  = "23505"
	readOnly         = "25006"
	serialization    = "40001"
	deadlock         = "40P01"
	noPrivilege      = "42501"
	undefinedTable   = "42P01"
	undefinedSchema  = "3F000"
	lockNotAvailable = "55P03"
)

// advice says of errors that may pass what a person can do about them, by
// their code or its class.
var advice = map[string]string{
	classConnection: "the connection to Postgres broke; check the network and the server",
	"28":            "Postgres refuses the user; check the user and password of the database URL, and pg_hba.conf",
	"3D000":         "there is no such database; create it, or correct the database URL",
	"40":            "transactions collided again and again; it passes",
	"53":            "Postgres is short of resources; free disk or memory, or raise max_connections",
	"57":            "Postgres is shutting down, starting up, or cancelled the statement; see its log",
	"58":            "Postgres has trouble with its disk; see its log",
	noPrivilege:     "the user lacks a privilege; let it own the database, or grant it what the message names",
	readOnly:        "the server is a read-only replica; let the database URL name the primary",
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
	if err == nil {
		return nil
	}
	code := codeOf(err)
	switch {
	case isBadWrite(code):
		return fmt.Errorf("%w: %w", persistence.ErrBadWrite, err)
	case isMissing(err):
		return fmt.Errorf("%w: %w (%w)", workflow.ErrUnavailable, persistence.ErrSchemaMissing, err)
	case code == lockNotAvailable:
		return fmt.Errorf("%w; end it, or try again (%w)", persistence.ErrContended, err)
	}
	if text, ok := adviceOn(code); ok {
		return fmt.Errorf("%w: %s (%w)", workflow.ErrUnavailable, text, err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("%w: Postgres cannot be reached; check the database URL and that the server runs (%w)", workflow.ErrUnavailable, err)
	}
	if code == "" && isBroken(err) {
		return fmt.Errorf("%w: %s (%w)", workflow.ErrUnavailable, advice[classConnection], err)
	}
	return err
}

// notCommitted is the error of a batch that did not land, or may not have.
func notCommitted(err error) error {
	if cause, ok := errors.AsType[settled](err); ok {
		return translate(cause.error)
	}
	return unknown(err)
}

// unknown says that nobody knows whether a batch landed.
func unknown(err error) error {
	if errors.Is(err, workflow.ErrOutcomeUnknown) {
		return err
	}
	return fmt.Errorf("%w: the connection to Postgres broke while it may have committed (%w)", workflow.ErrOutcomeUnknown, err)
}

// collided reports that a batch was rolled back in favour of others, and may
// land when it is sent again.
func collided(err error) bool {
	cause, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	if cause.Code == uniqueViolation {
		// A run that is retried takes its keys back, unless another takes them
		// meanwhile; and what a run left behind was not to be seen before it was gone.
		return cause.ConstraintName == "workflow_runs_key" || cause.ConstraintName == "workflow_runs_unique" ||
			strings.HasPrefix(cause.TableName, "step_checkpoints")
	}
	return cause.Code == serialization || cause.Code == deadlock
}

// unsent reports that a batch was not sent whole, over a connection that had
// been there.
func unsent(err error) bool {
	cause, ok := errors.AsType[settled](err)
	if !ok || codeOf(err) != "" {
		return false
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return !connecting && isBroken(cause.error)
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

// isFatal reports that the server ended the session with its error.
func isFatal(err error) bool {
	cause, ok := errors.AsType[*pgconn.PgError](err)
	return ok && cause.SeverityUnlocalized != "ERROR"
}

// isMissing reports that a table is not there.
func isMissing(err error) bool {
	code := codeOf(err)
	return code == undefinedTable || code == undefinedSchema
}

// isBroken reports that the connection failed, not the server.
func isBroken(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

var errClosed = fmt.Errorf("%w: the store is closed", workflow.ErrUnavailable)
