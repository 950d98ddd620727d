package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/server/tokens"
	"singularity/workflow"
)

// counting is a store that counts how often it is read, and may be away.
type counting struct {
	*memory.Store
	mu    sync.Mutex
	reads int
	away  error
}

func (s *counting) Tokens(ctx context.Context) ([]persistence.Token, error) {
	s.mu.Lock()
	s.reads++
	away := s.away
	s.mu.Unlock()
	if away != nil {
		return nil, away
	}
	return s.Store.Tokens(ctx)
}

func (s *counting) leave(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = why
}

func (s *counting) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

type fixture struct {
	*testing.T
	store    *counting
	verifier *tokens.Verifier
}

// inBubble runs a story on a clock of its own.
func inBubble(t *testing.T, story func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Store: memory.New()}
		story(&fixture{t, store, tokens.NewVerifier(store, slog.New(slog.DiscardHandler))})
	})
}

// mint stores a token and returns its text.
func (f *fixture) mint(change func(*persistence.Token)) (text, id string) {
	f.Helper()
	text, token := tokens.Mint()
	token.Scope, token.CreatedAt = persistence.ScopeRun, time.Now()
	if change != nil {
		change(&token)
	}
	if err := f.store.CreateToken(f.Context(), token); err != nil {
		f.Fatal(err)
	}
	return text, token.ID
}

func (f *fixture) wantGood(text string) {
	f.Helper()
	if scope, err := f.verifier.Verify(f.Context(), text); scope != persistence.ScopeRun || err != nil {
		f.Errorf("got scope %q, %v; want run", scope, err)
	}
}

func (f *fixture) wantRefused(text string) {
	f.Helper()
	if scope, err := f.verifier.Verify(f.Context(), text); scope != "" || err != tokens.ErrRefused { //nolint:errorlint // the same, to the letter
		f.Errorf("%q: got scope %q, %v; want ErrRefused and no more", text, scope, err)
	}
}

func (f *fixture) revoke(id string) {
	f.Helper()
	if _, err := f.store.RevokeToken(f.Context(), id); err != nil {
		f.Fatal(err)
	}
}

// pass lets time pass in the bubble.
func pass(d time.Duration) { <-time.After(d) }

func TestTokenIsGoodAsSoonAsItIsStored(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		first, _ := f.mint(nil)
		f.wantGood(first)
		second, _ := f.mint(nil)
		f.wantGood(second)
	})
}

func TestRevokedTokenIsRefusedAfterMaxAge(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		text, id := f.mint(nil)
		f.wantGood(text)
		f.revoke(id)
		pass(tokens.MaxAge)
		f.wantRefused(text)
	})
}

func TestExpiredTokenIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		text, _ := f.mint(func(token *persistence.Token) {
			until := token.CreatedAt.Add(time.Second)
			token.ExpiresAt = &until
		})
		f.wantGood(text)
		pass(time.Second)
		f.wantRefused(text)
	})
}

func TestGarbageIsRefusedWithoutAskingTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		text, id := f.mint(nil)
		for _, garbage := range []string{
			"", " ", "sgt_", "secret", text[:len(text)-1], text + "A", " " + text, text + "\n", strings.ToLower(text),
			strings.Replace(text, "sgt_", "sgx_", 1), strings.Replace(text, id, id[1:], 1), "sgt_" + id + "_", strings.Repeat("A", 1<<20),
		} {
			f.wantRefused(garbage)
		}
		if reads := f.store.count(); reads != 0 {
			f.Errorf("the store was read %d times, want never", reads)
		}
	})
}

// wrongSecret is a token of the same id with another secret.
func wrongSecret(text string) string {
	other, _ := tokens.Mint()
	return text[:strings.LastIndex(text, "_")] + other[strings.LastIndex(other, "_"):]
}

func TestRefusalsTakeTheSameTimeWhateverIsWrong(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		good, _ := f.mint(nil)
		revoked, id := f.mint(nil)
		f.revoke(id)
		expired, _ := f.mint(func(token *persistence.Token) { token.ExpiresAt = &token.CreatedAt })
		unknown, _ := tokens.Mint()
		var want time.Duration
		for i, text := range []string{unknown, wrongSecret(good), revoked, expired} {
			pass(time.Minute)
			f.wantGood(good) // so that each begins with what was just read
			begin := time.Now()
			f.wantRefused(text)
			took := time.Since(begin)
			if i == 0 {
				want = took
			}
			if took != want {
				f.Errorf("refusal %d took %s, the first one %s", i, took, want)
			}
		}
	})
}

func TestStrangersDoNotMakeTheStoreWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		good, _ := f.mint(nil)
		f.wantGood(good)
		before, begin := f.store.count(), time.Now()
		var strangers sync.WaitGroup
		for range 100 {
			strangers.Go(func() {
				for range 20 {
					unknown, _ := tokens.Mint()
					f.wantRefused(unknown)
				}
			})
		}
		synctest.Wait()
		f.wantGood(good)
		if waited := time.Since(begin); waited != 0 {
			f.Errorf("a good token waited %s for strangers", waited)
		}
		strangers.Wait()
		took := time.Since(begin)
		if reads, most := f.store.count()-before, int(took/(250*time.Millisecond))+1; reads > most {
			f.Errorf("2000 bad tokens in %s were %d reads, want %d at most", took, reads, most)
		}
	})
}

func TestGoodTokensShareAReadOfTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		good, _ := f.mint(nil)
		for range 10 {
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() { f.wantGood(good) })
			}
			callers.Wait()
			pass(tokens.MaxAge / 5)
		}
		if reads := f.store.count(); reads > 3 {
			f.Errorf("500 calls in %s were %d reads, want 3 at most", 2*tokens.MaxAge, reads)
		}
	})
}

func TestNobodyIsLetInWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		good, _ := f.mint(nil)
		f.wantGood(good)
		f.store.leave(fmt.Errorf("%w: gone", workflow.ErrUnavailable))
		f.wantGood(good) // as far as it is known
		pass(tokens.MaxAge)
		if _, err := f.verifier.Verify(f.Context(), good); !errors.Is(err, workflow.ErrUnavailable) || errors.Is(err, tokens.ErrRefused) {
			f.Errorf("got %v, want that the store is away", err)
		}
		before, begin := f.store.count(), time.Now()
		for range 9 {
			_, _ = f.verifier.Verify(f.Context(), good)
		}
		if reads, took := f.store.count()-before, time.Since(begin); reads != 9 || took != 9*250*time.Millisecond {
			f.Errorf("9 calls asked the store %d times in %s, want each to leave it alone for 250ms", reads, took)
		}
		f.store.leave(nil)
		f.wantGood(good)
	})
}

// stuck is a store that does not answer.
type stuck struct{ *memory.Store }

func (stuck) Tokens(ctx context.Context) ([]persistence.Token, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestCallersDoNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		verifier := tokens.NewVerifier(stuck{memory.New()}, slog.New(slog.DiscardHandler))
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				text, _ := tokens.Mint()
				begin := time.Now()
				if _, err := verifier.Verify(t.Context(), text); !errors.Is(err, workflow.ErrUnavailable) || time.Since(begin) > 5*time.Second {
					t.Errorf("got %v after %s, want unavailable after 5s", err, time.Since(begin))
				}
			})
		}
		callers.Wait()
	})
}

func TestLastUseIsNotedOnceAMinute(t *testing.T) {
	t.Parallel()
	inBubble(t, func(f *fixture) {
		text, _ := f.mint(nil)
		var noted []time.Duration
		begin := time.Now()
		for range 150 {
			f.wantGood(text)
			stored, err := f.store.Store.Tokens(f.Context())
			if err != nil || stored[0].LastUsedAt == nil {
				f.Fatalf("got %+v, %v; want the last use", stored, err)
			}
			if at := stored[0].LastUsedAt.Sub(begin).Round(time.Second); len(noted) == 0 || noted[len(noted)-1] != at {
				noted = append(noted, at)
			}
			pass(time.Second)
		}
		if got := fmt.Sprint(noted); got != "[0s 1m0s 2m0s]" {
			f.Errorf("noted at %s, want each minute", got)
		}
	})
}

func TestMintedTokensDiffer(t *testing.T) {
	t.Parallel()
	one, first := tokens.Mint()
	other, second := tokens.Mint()
	if one == other || first.ID == second.ID || first.Hash == second.Hash {
		t.Errorf("got %s twice", first.ID)
	}
	if !strings.HasPrefix(one, tokens.Prefix+first.ID+"_") || len(one) != 41 {
		t.Errorf("got %d characters that begin with %.15s, want 41 with the id %s", len(one), one, first.ID)
	}
}
