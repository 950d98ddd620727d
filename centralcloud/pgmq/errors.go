package pgmq

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"singularity/centralcloud"
)

// Codes of SQLSTATE, and a class of them, that mean something to a queue.
const (
	classData         = "22"
	notSupported      = "0A000"
	noPrivilege       = "42501"
	undefinedTable    = "42P01"
	undefinedSchema   = "3F000"
	undefinedFunction = "42883"
)

var (
	// ErrNotMigrated: the database lacks something that the hub needs.
	ErrNotMigrated = errors.New("the hub's database is not up to date; run: singularity centralcloud --migrate")
	// ErrNewer: a newer program has migrated the database.
	ErrNewer = errors.New("the hub's database is newer than this program")
)

// translate turns an error of the driver into one of the contract.
func translate(err error) error {
	cause, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch {
	case cause.Code == undefinedTable:
		return fmt.Errorf("%w (%w)", centralcloud.ErrNoQueue, err)
	case cause.Code == undefinedSchema || cause.Code == undefinedFunction:
		return fmt.Errorf("%w (%w)", ErrNotMigrated, err)
	case cause.Code == noPrivilege:
		return fmt.Errorf("the user lacks a privilege; grant it what the message names: %w", err)
	case strings.HasPrefix(cause.Code, classData):
		return fmt.Errorf("%w: %w", centralcloud.ErrBadMessage, err)
	}
	return err
}
