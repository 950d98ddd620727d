// Package meter measures what work costs: statements, transactions and WAL of
// the database, processor time of both sides, and memory.
package meter

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Meter reads the counters of one server and of this machine.
type Meter struct {
	postgres   *pgx.Conn
	postmaster int
}

// Usage is what was used between two readings.
type Usage struct {
	// Statements are those that clients sent, without what begins and ends
	// transactions.
	Statements int64
	// Commits are transactions that wrote or locked something: those that got a
	// number. Ones that only read are not counted.
	Commits  int64
	WALBytes int64
	// ClientCPU is the contender's process, ServerCPU all of Postgres.
	ClientCPU, ServerCPU time.Duration
	// OtherCores is how many cores everything else on the machine kept busy.
	OtherCores float64
	// ClientBytes is what is resident of the contender, ServerBytes the
	// proportional share of memory of all Postgres processes, both at the end.
	ClientBytes, ServerBytes int64
}

// New connects to a database that is not measured, on the server of this
// postmaster.
func New(ctx context.Context, url string, postmaster int) (*Meter, error) {
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if _, err := connection.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS pg_stat_statements`); err != nil {
		return nil, fmt.Errorf("the server needs shared_preload_libraries=pg_stat_statements: %w", err)
	}
	return &Meter{postgres: connection, postmaster: postmaster}, nil
}

// Close disconnects.
func (m *Meter) Close(ctx context.Context) error { return m.postgres.Close(ctx) }

// Measurement is one that is under way.
type Measurement struct {
	meter      *Meter
	database   string
	client     int
	began      time.Time
	counters   counters
	processors processors
}

// Start begins to measure a client's work in one database.
func (m *Meter) Start(ctx context.Context, database string, client int) (*Measurement, error) {
	s := &Measurement{meter: m, database: database, client: client}
	var err error
	// The meter's own work on the server stays outside of the processor times,
	// which are read last here and first in Stop.
	if s.counters, err = m.counters(ctx, database); err != nil {
		return nil, err
	}
	if s.processors, err = readProcessors(client, m.postmaster); err != nil {
		return nil, err
	}
	s.began = time.Now()
	return s, nil
}

// Stop ends the measurement.
func (s *Measurement) Stop(ctx context.Context) (Usage, error) {
	elapsed := time.Since(s.began)
	processors, err := readProcessors(s.client, s.meter.postmaster)
	if err != nil {
		return Usage{}, err
	}
	counters, err := s.meter.counters(ctx, s.database)
	if err != nil {
		return Usage{}, err
	}
	usage := Usage{
		Statements: counters.statements - s.counters.statements,
		Commits:    counters.transactions - s.counters.transactions,
		WALBytes:   counters.wal - s.counters.wal,
		ClientCPU:  processors.client - s.processors.client,
		ServerCPU:  processors.server - s.processors.server,
	}
	other := processors.machine - s.processors.machine - usage.ClientCPU - usage.ServerCPU
	usage.OtherCores = max(other.Seconds()/elapsed.Seconds(), 0)
	if usage.ClientBytes, err = residentBytes(s.client); err != nil {
		return Usage{}, err
	}
	usage.ServerBytes, err = proportionalBytes(s.meter.postmaster)
	return usage, err
}

// counters are exact at any time. Those of pg_stat_database and pg_stat_wal
// are not: an idle session reports to them as late as 10 s afterwards.
type counters struct {
	statements, transactions, wal int64
}

const readCounters = `
	SELECT
		(SELECT coalesce(sum(s.calls), 0)::bigint
		 FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid
		 WHERE d.datname = $1 AND s.toplevel
		   AND s.query !~* '^\s*(begin|start transaction|commit|end|rollback)\M'),
		pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
		(pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint`

func (m *Meter) counters(ctx context.Context, database string) (counters, error) {
	var c counters
	if err := m.postgres.QueryRow(ctx, readCounters, database).Scan(&c.statements, &c.transactions, &c.wal); err != nil {
		return counters{}, fmt.Errorf("read the server's counters: %w", err)
	}
	return c, nil
}
