package pgmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
)

// newsChannel is where it is said that the database has become that of a hub, and
// that a leader has resigned.
const newsChannel = "singularity_centralcloud"

const announce = `SELECT pg_notify('` + newsChannel + `', '')`

// updatesChannel is where pgmq tells of messages in [centralcloud.UpQueue].
const updatesChannel = "pgmq.q_" + centralcloud.UpQueue + ".INSERT"

// ear is the connection on which a store hears of news. It stays open from the
// first call of Await to Close.
type ear struct {
	config *pgx.ConnConfig

	mu   sync.Mutex
	conn *pgx.Conn
	deaf bool // nothing can be heard through a pooler, or of this pgmq
}

// Await implements [hub.Store]. It cannot tell through a pooler, and with the
// extension below 1.8.
func (s *Store) Await(ctx context.Context) error {
	s.ear.mu.Lock()
	defer s.ear.mu.Unlock()
	if s.ear.deaf {
		return errors.ErrUnsupported
	}
	if s.ear.conn == nil || s.ear.conn.IsClosed() {
		if err := s.ear.listen(ctx); err != nil {
			return fmt.Errorf("listen to the hub's database: %w", translate(err))
		}
	}
	_, err := s.ear.conn.WaitForNotification(ctx)
	return err
}

// canNotify looks for what the extension has since 1.8, and whether the queue does
// not notify yet. To enable it again would wait for all who send.
const canNotify = `
SELECT pg_backend_pid(),
	to_regprocedure('pgmq.enable_notify_insert(text, integer)') IS NOT NULL,
	NOT EXISTS (
		SELECT FROM pg_trigger
		WHERE tgrelid = to_regclass('pgmq.q_` + centralcloud.UpQueue + `') AND tgname = 'trigger_notify_queue_insert_listeners')`

// notifyEvery is how often the queue tells of its messages at most: while there are
// some, a leader looks every second by itself.
const notifyEvery = time.Second

const enableNotify = `SELECT pgmq.enable_notify_insert($1, $2::integer)`

// listen connects, and has the queue tell of its messages.
func (e *ear) listen(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, e.config)
	if err != nil {
		return err
	}
	var pid uint32
	var able, silent bool
	err = conn.QueryRow(ctx, canNotify).Scan(&pid, &able, &silent)
	switch {
	case err != nil:
	case !able || pid != conn.PgConn().PID():
		e.deaf = true
		err = errors.ErrUnsupported
	case silent:
		_, err = conn.Exec(ctx, enableNotify, centralcloud.UpQueue, notifyEvery.Milliseconds())
	}
	for _, channel := range []string{updatesChannel, newsChannel} {
		if err == nil {
			_, err = conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize())
		}
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return err
	}
	e.conn = conn
	return nil
}

func (e *ear) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.conn.Close(ctx)
	}
}
