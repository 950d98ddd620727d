package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"singularity/centralcloud"
)

// lettersAtOnce is how many dead letters of a queue are looked at.
const lettersAtOnce = 1000

// deadLetter is one for people and scripts.
type deadLetter struct {
	Letter  string          `json:"letter"` // its queue and id
	DeadAt  time.Time       `json:"dead_at"`
	From    string          `json:"from"`
	Reads   int             `json:"reads"`
	Error   string          `json:"error"`
	Message json.RawMessage `json:"message"`
}

func (c *cli) centralcloudDeadLetters() *cobra.Command {
	var reader hubReader
	var again, remove bool
	command := &cobra.Command{
		Use:   "dead-letters [LETTER...]",
		Short: "Show messages that hub or nodes could not make sense of, send them again or delete them",
		Long: `Show the messages that the hub (dead_up) or a node (dead_down) could not make sense
of, and why. With --send-again they go back to the queue that they came
from, which is worth a try once the reason is gone, such as an older version of the
program. With --delete they are gone. Both are about the letters that are named, or
about all. A letter is deleted by itself after 30 days.`,
	}
	reader.register(command)
	command.Flags().BoolVar(&again, "send-again", false, "send them again to the queue that they came from")
	command.Flags().BoolVar(&remove, "delete", false, "delete them")
	command.MarkFlagsMutuallyExclusive("send-again", "delete")
	command.RunE = c.act(func(ctx context.Context, names []string) error {
		store, err := reader.open(ctx)
		if err != nil {
			return err
		}
		letters, err := deadLetters(ctx, store, names)
		switch {
		case err != nil:
		case again:
			err = sendAgain(ctx, store, letters)
		case remove:
			err = deleteLetters(ctx, store, letters)
		}
		if err != nil {
			return closing(store, err)
		}
		c.sayLetters(letters, again, remove)
		return closing(store, c.printLetters(letters))
	})
	return command
}

// sayLetters says what became of letters.
func (c *cli) sayLetters(letters []centralcloud.Letter, again, remove bool) {
	switch {
	case again:
		fmt.Fprintf(c.stderr, "sent %d again\n", len(letters))
	case remove:
		fmt.Fprintf(c.stderr, "deleted %d\n", len(letters))
	case len(letters) >= lettersAtOnce:
		fmt.Fprintf(c.stderr, "there may be more: of each queue the oldest %d are shown\n", lettersAtOnce)
	}
}

func (c *cli) printLetters(letters []centralcloud.Letter) error {
	list := make([]deadLetter, len(letters))
	for i, letter := range letters {
		list[i] = deadLetter{letter.String(), letter.Message.EnqueuedAt, letter.Why.From, letter.Why.Reads, letter.Why.Error, letter.Message.Body}
	}
	return c.print(list, func(t *table) {
		t.row("LETTER", "DEAD SINCE", "FROM", "READS", "ERROR")
		for _, letter := range list {
			t.row(letter.Letter, letter.DeadAt, letter.From, letter.Reads, letter.Error)
		}
	})
}

// deadLetters are those that are named, or all.
func deadLetters(ctx context.Context, store centralcloud.Queue, names []string) ([]centralcloud.Letter, error) {
	var letters []centralcloud.Letter
	for _, queue := range []string{centralcloud.DeadUp, centralcloud.DeadDown} {
		some, err := centralcloud.Letters(ctx, store, queue, lettersAtOnce)
		if err != nil && !errors.Is(err, centralcloud.ErrNoQueue) { // nothing was ever dead
			return nil, err
		}
		letters = append(letters, some...)
	}
	if len(names) == 0 {
		return letters, nil
	}
	var named []centralcloud.Letter
	for _, name := range names {
		i := slices.IndexFunc(letters, func(letter centralcloud.Letter) bool { return letter.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("%w as %q; expected one such as %s/17, as they are listed without a name", errNoLetter, name, centralcloud.DeadUp)
		}
		named = append(named, letters[i])
	}
	return named, nil
}

// errNoLetter: nothing is known of a dead letter, or not any more.
var errNoLetter = errors.New("there is no such dead letter")

// sendAgain sends all that can be sent.
func sendAgain(ctx context.Context, store centralcloud.Queue, letters []centralcloud.Letter) error {
	var problems []error
	for _, letter := range letters {
		_, err := letter.SendAgain(ctx, store)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func deleteLetters(ctx context.Context, store centralcloud.Queue, letters []centralcloud.Letter) error {
	for _, letter := range letters {
		if _, err := store.Delete(ctx, letter.Queue, letter.Message.ID); err != nil {
			return err
		}
	}
	return nil
}
