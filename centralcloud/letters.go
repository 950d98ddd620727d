package centralcloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Letter is a dead letter in its queue.
type Letter struct {
	Queue   string
	Message Message
	Why     DeadLetter // nothing but zeros when no [Consumer] put it there
}

// Letters reads the first letters of a queue of dead letters, so many at most. They
// stay where they are.
func Letters(ctx context.Context, from Receiver, queue string, most int) ([]Letter, error) {
	messages, err := from.Read(ctx, queue, 0, most)
	if err != nil {
		return nil, err
	}
	letters := make([]Letter, len(messages))
	for i, message := range messages {
		letters[i] = Letter{Queue: queue, Message: message}
		// Whoever wrote other headers by hand has said nothing of what this is about.
		if err := json.Unmarshal(message.Headers, &letters[i].Why); err != nil {
			letters[i].Why = DeadLetter{}
		}
	}
	return letters, nil
}

// String names a letter for people.
func (l Letter) String() string { return fmt.Sprintf("%s/%d", l.Queue, l.Message.ID) }

// SendAgain moves a letter back to where it came from, to be read as if never
// before. It reports whether the letter was there.
func (l Letter) SendAgain(ctx context.Context, by Receiver) (sent bool, err error) {
	if l.Why.From == "" {
		return false, fmt.Errorf("send dead letter %s again: %w", l, errNoSender)
	}
	return by.Move(ctx, l.Queue, l.Message, l.Why.From, l.Why.Headers)
}

var errNoSender = errors.New("its headers do not say from which queue it is; only deleting it is left")
