package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/persistence/sqlite"
)

// tokenFlags say which database the tokens are in: that of the nodes which ask
// for them.
type tokenFlags struct {
	database databaseFlags
	dataDir  string
}

func (f *tokenFlags) register(set *pflag.FlagSet) {
	f.database.register(set)
	registerDataDir(set, &f.dataDir)
}

// about names the database for people.
func (f *tokenFlags) about() string {
	if f.database.url != "" {
		return f.database.about()
	}
	return f.dataDir
}

// use opens the database beside the nodes that use it, for one action.
func (f *tokenFlags) use(ctx context.Context, action func(persistence.Tokens) error) (err error) {
	store, err := f.open(ctx)
	if err == nil {
		err = errors.Join(action(store), store.Close())
	}
	switch {
	case err == nil || errors.Is(err, persistence.ErrTokenNotFound):
		return err
	case f.database.url != "":
		return f.database.explain(err)
	default:
		return fmt.Errorf("--data-dir %s: %w", f.dataDir, err)
	}
}

type tokenStore interface {
	persistence.Tokens
	io.Closer
}

func (f *tokenFlags) open(ctx context.Context) (tokenStore, error) {
	if f.database.url == "" {
		return sqlite.OpenTokens(ctx, f.dataDir)
	}
	return postgres.Open(ctx, postgres.Config{URL: f.database.url, SessionURL: f.database.sessionURL})
}
