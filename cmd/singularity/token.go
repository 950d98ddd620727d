package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"singularity/persistence"
	"singularity/server/tokens"
)

// token is one as people and programs see it.
type token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scope      string     `json:"scope"`
	State      string     `json:"state"` // good, expired or revoked
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`   // null: never
	RevokedAt  *time.Time `json:"revoked_at"`   // null while it is not
	LastUsedAt *time.Time `json:"last_used_at"` // to the minute
	Token      string     `json:"token,omitempty"`
}

func tokenOf(t persistence.Token) token {
	state := "good"
	switch {
	case t.RevokedAt != nil:
		state = "revoked"
	case !t.Good(time.Now()):
		state = "expired"
	}
	return token{
		ID: t.ID, Name: t.Name, Scope: string(t.Scope), State: state,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt, LastUsedAt: t.LastUsedAt,
	}
}

// scopeFlag is the value of --scope.
type scopeFlag struct{ persistence.TokenScope }

// String implements [pflag.Value].
func (f *scopeFlag) String() string { return string(f.TokenScope) }

// Type implements [pflag.Value].
func (f *scopeFlag) Type() string { return "read|run|admin" }

// Set implements [pflag.Value].
func (f *scopeFlag) Set(value string) (err error) {
	f.TokenScope, err = persistence.ParseTokenScope(value)
	return err
}

func (c *cli) tokenCreate() *cobra.Command {
	var (
		where   tokenFlags
		scope   scopeFlag
		name    string
		expires time.Duration
	)
	command := &cobra.Command{
		Use:   "create",
		Short: "Make a token and print it, this once",
		Long: `Make a token and print it, this once: only a hash of it is kept. A node takes it
at once. Whoever has it may do what its scope says: read looks, run also starts
runs, changes them and sends messages, admin may do everything.`,
		Args: arguments(),
	}
	set := command.Flags()
	where.register(set)
	set.Var(&scope, "scope", "what it lets its bearer do")
	set.StringVar(&name, "name", "", "what it is for, for people")
	set.DurationVar(&expires, "expires", 0, "how long it is good, such as 720h (default: for ever)")
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		switch {
		case scope.TokenScope == "":
			return usagef("which scope? Set --scope to read, run or admin")
		case expires < 0:
			return usagef("--expires %s is over before it begins; expected a duration such as 720h", expires)
		}
		text, made := tokens.Mint()
		made.Name, made.Scope, made.CreatedAt = name, scope.TokenScope, time.Now().UTC()
		if expires > 0 {
			until := made.CreatedAt.Add(expires)
			made.ExpiresAt = &until
		}
		if err := where.use(ctx, func(store persistence.Tokens) error { return store.CreateToken(ctx, made) }); err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "token %s is good for %s, at nodes on %s; this is the only time that it is shown\n", made.ID, made.Scope, where.about())
		shown := tokenOf(made)
		shown.Token = text
		return c.print(shown, func(t *table) { t.row(text) })
	})
	return command
}

func (c *cli) tokenList() *cobra.Command {
	var where tokenFlags
	command := &cobra.Command{Use: "list", Short: "List the tokens, which does not show them", Args: arguments()}
	where.register(command.Flags())
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		list := []token{} // never nil: an empty list is [] in JSON
		err := where.use(ctx, func(store persistence.Tokens) error {
			stored, err := store.Tokens(ctx)
			for _, t := range stored {
				list = append(list, tokenOf(t))
			}
			return err
		})
		if err != nil {
			return err
		}
		return c.printTokens(list, list...)
	})
	return command
}

func (c *cli) tokenRevoke() *cobra.Command {
	var where tokenFlags
	command := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a token; nodes refuse it five seconds later at most",
		Args:  arguments("ID"),
	}
	where.register(command.Flags())
	command.RunE = c.act(func(ctx context.Context, args []string) error {
		var revoked persistence.Token
		err := where.use(ctx, func(store persistence.Tokens) (err error) {
			revoked, err = store.RevokeToken(ctx, args[0])
			return err
		})
		if err != nil {
			return err
		}
		return c.printTokens(tokenOf(revoked), tokenOf(revoked))
	})
	return command
}

// printTokens prints rows, or a document in their place.
func (c *cli) printTokens(document any, rows ...token) error {
	return c.print(document, func(t *table) {
		t.row("ID", "NAME", "SCOPE", "STATE", "CREATED", "EXPIRES", "LAST USED")
		for _, row := range rows {
			t.row(row.ID, row.Name, row.Scope, row.State, row.CreatedAt, row.ExpiresAt, row.LastUsedAt)
		}
	})
}
