package tokens

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// ErrRefused is the answer to every token that does not let its bearer in, in
// the same words whatever is wrong with it.
var ErrRefused = errors.New("the token is unknown, expired or revoked")

// Bounds of a [Verifier].
const (
	// MaxAge is how long the store's tokens are believed: what is revoked is
	// refused after this time at the latest.
	MaxAge = 4 * time.Second
	// minAge keeps strangers from making the store work: it is asked once in this
	// time, however many bad tokens come.
	minAge = 250 * time.Millisecond
	// patience is how long a caller waits for the store.
	patience = 5 * time.Second
	// touchEvery is how exact the time of a token's last use is.
	touchEvery = time.Minute
)

// Store is what a [Verifier] needs of one.
type Store interface {
	Tokens(ctx context.Context) ([]persistence.Token, error)
	TouchToken(ctx context.Context, id string, at time.Time) error
}

// Verifier tells good tokens from bad ones. It knows all of the store's, and
// reads them anew when somebody calls and they are older than [MaxAge], or when
// a token is not among the good ones: one that was just made is good at once. It
// does nothing while nobody calls.
type Verifier struct {
	store Store
	log   *slog.Logger
	known atomic.Pointer[snapshot]
	turn  chan struct{} // filled while somebody has what follows
	tried time.Time     // when the store was last asked
}

// snapshot is what was in the store at a time.
type snapshot struct {
	at     time.Time
	tokens map[string]*entry // by id
}

type entry struct {
	persistence.Token
	touched atomic.Int64 // when its use was last noted, in Unix nanoseconds
}

// NewVerifier returns a verifier of the tokens in a store.
func NewVerifier(store Store, log *slog.Logger) *Verifier {
	v := &Verifier{store: store, log: log, turn: make(chan struct{}, 1)}
	v.known.Store(&snapshot{})
	return v
}

// Verify returns the scope of a good token. The error is [ErrRefused] for all
// others, and another one when the store cannot be asked.
//
// Every token that has the form of one goes the same way: the time that a
// refusal takes does not tell whether there is such an id.
func (v *Verifier) Verify(ctx context.Context, text string) (persistence.TokenScope, error) {
	id, ok := idOf(text)
	if !ok {
		return "", ErrRefused
	}
	now, hash := time.Now(), sha256.Sum256([]byte(text))
	for _, moment := range []time.Time{now.Add(-MaxAge), now} {
		known, err := v.since(ctx, moment)
		if err != nil {
			return "", fmt.Errorf("check the token: %w", err)
		}
		if good := known.find(id, hash); good != nil {
			v.touch(ctx, good, now)
			return good.Scope, nil
		}
	}
	return "", ErrRefused
}

// find returns a token that is good. It compares hashes whether there is one
// or not.
func (s *snapshot) find(id string, hash [sha256.Size]byte) *entry {
	found, there := s.tokens[id]
	if !there {
		found = &entry{}
	}
	equal := subtle.ConstantTimeCompare(found.Hash[:], hash[:]) == 1
	if !equal || !there || !found.Good(time.Now()) {
		return nil
	}
	return found
}

// since returns what was in the store at some moment after the given one.
func (v *Verifier) since(ctx context.Context, moment time.Time) (*snapshot, error) {
	if known := v.known.Load(); known.at.After(moment) {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return nil, late(ctx)
	}
	known := v.known.Load()
	if known.at.After(moment) { // somebody else has read it meanwhile
		return known, nil
	}
	if err := wait(ctx, minAge-time.Since(v.tried)); err != nil {
		return nil, err
	}
	v.tried = time.Now()
	fresh, err := v.read(ctx, known)
	if err != nil && ctx.Err() != nil {
		err = late(ctx)
	}
	return fresh, err
}

// read reads the store.
func (v *Verifier) read(ctx context.Context, before *snapshot) (*snapshot, error) {
	fresh := &snapshot{at: time.Now(), tokens: map[string]*entry{}}
	list, err := v.store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	for _, token := range list {
		fresh.tokens[token.ID] = before.entryOf(token)
	}
	v.known.Store(fresh)
	return fresh, nil
}

// entryOf is a token as it was read again.
func (s *snapshot) entryOf(token persistence.Token) *entry {
	fresh := &entry{Token: token}
	if before := s.tokens[token.ID]; before != nil {
		fresh.touched.Store(before.touched.Load())
	} else if token.LastUsedAt != nil {
		fresh.touched.Store(token.LastUsedAt.UnixNano())
	}
	return fresh
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return late(ctx)
	}
}

// late says why a caller was not answered.
func late(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: the tokens could not be read in %s", workflow.ErrUnavailable, patience)
	}
	return ctx.Err()
}

// touch notes the use of a token now and then. Nobody is refused because that
// cannot be stored.
func (v *Verifier) touch(ctx context.Context, token *entry, now time.Time) {
	last := token.touched.Load()
	if now.UnixNano()-last < int64(touchEvery) || !token.touched.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	if err := v.store.TouchToken(ctx, token.ID, now); err != nil && ctx.Err() == nil {
		v.log.WarnContext(ctx, "the use of a token was not noted", "token", token.ID, "error", err)
	}
}
