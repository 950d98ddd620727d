package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"singularity/persistence"
	"singularity/workflow"
)

func ofServer(code string) error { return &pgconn.PgError{Code: code, SeverityUnlocalized: "ERROR"} }

func TestErrorsOfTheServerAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]error{
		"22021": persistence.ErrBadWrite, // a character that there is not
		"22P05": persistence.ErrBadWrite,
		"23514": persistence.ErrBadWrite,
		"25006": workflow.ErrUnavailable,
		"28P01": workflow.ErrUnavailable,
		"3D000": workflow.ErrUnavailable,
		"40P01": workflow.ErrUnavailable,
		"42501": workflow.ErrUnavailable,
		"42P01": persistence.ErrSchemaMissing,
		"3F000": persistence.ErrSchemaMissing,
		"53100": workflow.ErrUnavailable,
		"55P03": workflow.ErrUnavailable,
		"57014": workflow.ErrUnavailable,
		"57P01": workflow.ErrUnavailable,
		"08006": workflow.ErrUnavailable,
	} {
		if err := translate(fmt.Errorf("statement: %w", ofServer(code))); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", code, err, want)
		}
	}
	if err := translate(nil); err != nil {
		t.Errorf("no error: %v", err)
	}
	for _, err := range []error{context.Canceled, ofServer("XX000")} {
		got := translate(err)
		if !errors.Is(got, err) || errors.Is(got, workflow.ErrUnavailable) || errors.Is(got, persistence.ErrBadWrite) {
			t.Errorf("%v: %v, want it as it is", err, got)
		}
	}
}

func TestErrorOfACommitSaysWhetherItMayHaveLanded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want error
	}{
		{settled{ofServer("57P01")}, workflow.ErrUnavailable},
		{settled{ofServer("23514")}, persistence.ErrBadWrite},
		{settled{io.ErrUnexpectedEOF}, workflow.ErrUnavailable},
		{settled{context.Canceled}, context.Canceled},
		{ofServer("57P01"), workflow.ErrOutcomeUnknown},
		{io.ErrUnexpectedEOF, workflow.ErrOutcomeUnknown},
		{context.DeadlineExceeded, workflow.ErrOutcomeUnknown},
		{unknown(ofServer("42P01")), workflow.ErrOutcomeUnknown},
	} {
		err := notCommitted(c.err)
		if !errors.Is(err, c.want) {
			t.Errorf("%T %v: %v, want %v", c.err, c.err, err, c.want)
		}
		if errors.Is(err, workflow.ErrOutcomeUnknown) && errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("%v: both known and unknown", err)
		}
	}
}

func TestOnlyWhatWasNotSentOrCollidedIsSentAgain(t *testing.T) {
	t.Parallel()
	key := &pgconn.PgError{Code: uniqueViolation, ConstraintName: "workflow_runs_key"}
	for _, c := range []struct {
		err              error
		collided, unsent bool
	}{
		{settled{ofServer(deadlock)}, true, false},
		{settled{ofServer(serialization)}, true, false},
		{settled{key}, true, false},
		{settled{ofServer(uniqueViolation)}, false, false},
		{settled{io.EOF}, false, true},
		{settled{context.DeadlineExceeded}, false, false},
		{settled{errClosed}, false, false},
		{io.EOF, false, false},
	} {
		if collided(c.err) != c.collided || unsent(c.err) != c.unsent {
			t.Errorf("%v: collided %t and unsent %t, want %t and %t", c.err, collided(c.err), unsent(c.err), c.collided, c.unsent)
		}
	}
}
