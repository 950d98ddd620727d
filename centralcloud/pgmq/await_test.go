package pgmq_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
)

// awaiting waits for news in a goroutine of its own.
func awaiting(t *testing.T, store opened) <-chan error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	heard := make(chan error, 1)
	go func() {
		defer cancel()
		heard <- store.Await(ctx)
	}()
	return heard
}

// listens waits until somebody listens in a database.
func listens(t *testing.T, url string) {
	t.Helper()
	d := &database{t, connect(t, url), url}
	late := time.After(time.Minute)
	for pause := time.NewTicker(5 * time.Millisecond); ; {
		if one[bool](d, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN "singularity%' AND state = 'idle')`) {
			return
		}
		select {
		case <-pause.C:
		case <-late:
			t.Fatal("within a minute nobody listens")
		}
	}
}

func TestMessagesAndResignationsAreHeardOf(t *testing.T) {
	t.Parallel()
	url := testpostgres.URL(t)
	listening, other := open(t, url), open(t, url)
	if err := other.CreateQueue(t.Context(), centralcloud.UpQueue); err != nil {
		t.Fatal(err)
	}
	lead, err := other.Lead(t.Context(), "other", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, news := range []struct {
		what string
		make func() error
	}{
		{"a message", func() error {
			return second(other.Send(t.Context(), centralcloud.UpQueue, centralcloud.Draft{Body: []byte(`1`)}))
		}},
		{"a resignation", func() error { return other.Resign(t.Context(), lead) }},
		{"a schema that is brought up to date", func() error { return second(pgmq.MigrateUp(t.Context(), url)) }},
	} {
		heard := awaiting(t, listening)
		listens(t, url)
		if err := news.make(); err != nil {
			t.Fatal(err)
		}
		if err := <-heard; err != nil {
			t.Errorf("%s is not heard of: %v", news.what, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := listening.Await(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("without news and time: %v, want %v", err, context.Canceled)
	}
}

func TestListeningGoesOnAfterItsConnectionBroke(t *testing.T) {
	t.Parallel()
	url := testpostgres.URL(t)
	listening, other := open(t, url), open(t, url)
	if err := other.CreateQueue(t.Context(), centralcloud.UpQueue); err != nil {
		t.Fatal(err)
	}
	heard := awaiting(t, listening)
	listens(t, url)
	d := &database{t, connect(t, url), url}
	d.exec(`SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
	if err := <-heard; err == nil {
		t.Error("a broken connection was news")
	}
	heard = awaiting(t, listening)
	listens(t, url)
	if _, err := other.Send(t.Context(), centralcloud.UpQueue, centralcloud.Draft{Body: []byte(`1`)}); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Errorf("on a new connection: %v", err)
	}
}

func TestWhoCannotListenSaysSo(t *testing.T) {
	t.Parallel()
	if err := open(t, testpostgres.URL(t)).Await(t.Context()); err == nil {
		t.Error("there is news of a queue that there is not")
	}
	url := testpostgres.URL(t)
	pooled := open(t, testpostgres.Pooler(t, url))
	if err := pooled.CreateQueue(t.Context(), centralcloud.UpQueue); err != nil {
		t.Fatal(err)
	}
	if err := pooled.Await(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("through a pooler: %v, want %v", err, errors.ErrUnsupported)
	}
	d := setup(t)
	d.create(centralcloud.UpQueue)
	d.exec(`DROP FUNCTION pgmq.enable_notify_insert(text, integer)`)
	if err := open(t, d.url).Await(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of an old pgmq: %v, want %v", err, errors.ErrUnsupported)
	}
}
