package postgres

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/workflow"
)

// session is the connection that a boot has to itself from Join to Leave. It
// holds the advisory lock by which others see that the boot's process is there,
// renews the boot's lease, and hears of new runs in between. One goroutine uses
// it, and makes it anew when it breaks.
type session struct {
	boot  persistence.BootID
	url   string
	news  persistence.Listener
	log   *slog.Logger
	calls chan func()
	stop  context.CancelFunc
	ended chan struct{}

	conn *pgx.Conn
	// renewedFirst is when the first renewal on conn was answered.
	renewedFirst time.Time
}

// How a broken session is made anew.
const (
	mendPatience = 2 * time.Second // for one try
	firstMend    = 20 * time.Millisecond
	lastMend     = time.Second
)

// openSession connects and begins to listen.
func openSession(ctx context.Context, boot persistence.BootID, cfg Config, news persistence.Listener) (*session, error) {
	running, stop := context.WithCancel(context.Background())
	s := &session{
		boot: boot, url: cfg.SessionURL, news: news, log: cfg.Logger,
		calls: make(chan func()), stop: stop, ended: make(chan struct{}),
	}
	if err := s.connect(ctx); err != nil {
		stop()
		return nil, err
	}
	go s.serve(running)
	return s, nil
}

// close ends the session without ending the boot.
func (s *session) close() {
	s.stop()
	<-s.ended
}

// do calls work with the connection, between two notifications. A connection
// that turns out to be broken is made anew once, and work called again.
func (s *session) do(ctx context.Context, work func(*pgx.Conn) error) error {
	done := make(chan error, 1)
	select {
	case s.calls <- func() { done <- s.attempt(ctx, work) }:
		return <-done
	case <-s.ended:
		return errSessionOver
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) attempt(ctx context.Context, work func(*pgx.Conn) error) error {
	if !s.conn.IsClosed() {
		if err := work(s.conn); err == nil || !s.conn.IsClosed() || ctx.Err() != nil {
			return err
		}
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	return work(s.conn)
}

// serve is the session's goroutine.
func (s *session) serve(ctx context.Context) {
	defer close(s.ended)
	defer func() { disconnect(s.conn) }()
	for ctx.Err() == nil {
		call, err := s.await(ctx)
		switch {
		case call != nil:
			call()
		case ctx.Err() == nil:
			s.log.Warn("the session that holds this node's lease broke; it is made anew", "boot", s.boot, "error", err)
			s.mend(ctx)
		}
	}
}

// await hands over notifications until there is a call, which it returns, or
// the connection breaks.
func (s *session) await(ctx context.Context) (call func(), err error) {
	waiting, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer stop()
		select {
		case call = <-s.calls:
		case <-waiting.Done():
		}
	})
	err = s.hear(waiting)
	stop()
	watch.Wait()
	return call, err
}

// hear hands over notifications. The end of its context leaves the connection
// as it is.
func (s *session) hear(ctx context.Context) error {
	for {
		notification, err := s.conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		switch {
		case notification.Channel == queuesChannel && s.news.QueuesChanged != nil:
			s.news.QueuesChanged()
		case notification.Channel == cancelledChannel && s.news.RunCancelled != nil:
			if id, err := workflow.ParseRunID(notification.Payload); err == nil {
				s.news.RunCancelled(id)
			}
		case notification.Channel == schedulesChannel && s.news.ScheduleChanged != nil:
			s.news.ScheduleChanged(notification.Payload)
		case notification.Channel == hubChannel:
			s.hubAnnounced()
		case notification.Channel == wakeChannel && s.news.Enqueued != nil:
			s.news.Enqueued(notification.Payload)
		}
	}
}

func (s *session) hubAnnounced() {
	if s.news.HubAnnounced != nil {
		s.news.HubAnnounced()
	}
}

// mend connects again, whatever it takes: while the lock is free, the boot
// looks dead.
func (s *session) mend(ctx context.Context) {
	disconnect(s.conn)
	for delay := firstMend; s.conn.IsClosed(); delay = min(2*delay, lastMend) {
		attempt, cancel := context.WithTimeout(ctx, mendPatience)
		err := s.connect(attempt)
		cancel()
		if err == nil {
			return
		}
		select {
		case call := <-s.calls:
			call()
		case <-time.After(delay/2 + rand.N(delay)):
		case <-ctx.Done():
			return
		}
	}
}
