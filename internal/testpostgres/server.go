//go:build unix

package testpostgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testport"
)

// Config says how a [Server] differs from the usual.
type Config struct {
	// TCP also opens a port, for which [Server.URLVia] has the password.
	TCP bool
	// Address is that of the port, one of this machine's. Defaults to 127.0.0.1.
	Address string
	// Durable keeps the data on a disk, and makes commits wait for it, as they
	// do in production.
	Durable bool
	// Ahead is by how much the server's clock is ahead of the machine's.
	Ahead time.Duration
	// Settings are the server's own, such as max_connections.
	Settings map[string]string
	// Extensions are files, by name, that the server finds among those of its
	// extensions, and no other server does.
	Extensions map[string]string
}

// Database is a database that every server has from the start.
const Database = "singularity"

// The roles of a server.
const (
	ordinary  = "singularity" // owns the databases
	superuser = "postgres"
)

// Names in a server's directory.
const (
	dataFolder    = "data"
	postgresPID   = dataFolder + "/postmaster.pid"
	postgresSetup = dataFolder + "/postgresql.conf"
	hostRules     = dataFolder + "/pg_hba.conf"
)

// Server is a Postgres server that a test may do anything to.
type Server struct {
	scratch  *scratch
	programs string // the folder of Postgres's own
	config   Config
	port     int
	password string // over TCP
	process  *process
}

// Start starts a server for one test, which ends with the test.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := newServer(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start a Postgres server: %v", err)
	}
	s.endWith(t)
	return s
}

func (s *Server) endWith(t testing.TB) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the Postgres server in %s printed:\n%s", s.scratch.dir, s.process.log)
		}
		if err := s.close(); err != nil {
			t.Errorf("end a Postgres server: %v", err)
		}
	})
}

func newServer(ctx context.Context, cfg Config) (*Server, error) {
	return makeServer(ctx, cfg, func(s *Server) error {
		err := s.scratch.run(s.programs+"/initdb", "--pgdata="+s.scratch.path(dataFolder), "--username="+superuser,
			"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
		if err != nil {
			return err
		}
		if err := s.admitNeighbours(); err != nil {
			return err
		}
		if err := s.launch(ctx); err != nil {
			return err
		}
		return s.populate(ctx)
	})
}

// makeServer makes a server whose data and process come from fill.
func makeServer(ctx context.Context, cfg Config, fill func(*Server) error) (*Server, error) {
	programs, err := findPostgres(postgresFolders)
	if err != nil {
		return nil, err
	}
	cfg.Address = cmp.Or(cfg.Address, loopback)
	port := 5432 // names the socket
	if cfg.TCP {
		if port, err = freePort(ctx, cfg.Address); err != nil {
			return nil, err
		}
	}
	root := fastRoot()
	if cfg.Durable {
		root = diskRoot
	}
	files, err := newScratch(root, postgresPID)
	if err != nil {
		return nil, err
	}
	s := &Server{scratch: files, programs: programs, config: cfg, port: port, password: rand.Text()}
	if len(cfg.Extensions) > 0 {
		if s.programs, err = files.install(programs, cfg.Extensions); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	if err := fill(s); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// admitNeighbours lets whoever is in the same network show the password; initdb
// lets this machine only.
func (s *Server) admitNeighbours() error {
	return s.scratch.add(hostRules, "host all all samenet scram-sha-256\n")
}

// launch configures the server, starts it and waits until it takes connections.
func (s *Server) launch(ctx context.Context) error {
	if err := s.scratch.add(postgresSetup, s.settings()); err != nil {
		return err
	}
	return s.resume(ctx)
}

func (s *Server) settings() string {
	settings := map[string]string{
		"port": strconv.Itoa(s.port), "listen_addresses": "",
		"unix_socket_directories": s.scratch.dir, "unix_socket_permissions": "0700",
		"max_connections": "200", "shared_buffers": "32MB",
	}
	if s.config.TCP {
		settings["listen_addresses"] = s.config.Address
	}
	if !s.config.Durable {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	maps.Copy(settings, s.config.Settings)
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&lines, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	return lines.String()
}

// resume starts the server as it is configured.
func (s *Server) resume(ctx context.Context) error {
	command := s.scratch.command(s.programs+"/postgres", "-D", s.scratch.path(dataFolder))
	if s.config.Ahead != 0 {
		library, err := findFakeTime(fakeTimeLibraries)
		if err != nil {
			return err
		}
		command.Env = append(command.Env, fakeTime(library, s.config.Ahead)...)
	}
	process, err := start(command)
	if err != nil {
		return err
	}
	s.process = process
	return process.await(ctx, s.reached)
}

// reached checks that the server takes connections and is this one.
func (s *Server) reached(ctx context.Context) error {
	return onConnection(ctx, s.AdminURL(superuser), func(conn *pgx.Conn) error {
		var data string
		if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
			return err
		}
		if own := s.scratch.path(dataFolder); data != own {
			return fmt.Errorf("reached the server in %s instead of the one in %s", data, own)
		}
		return nil
	})
}

// populate makes the role and the database of the tests.
func (s *Server) populate(ctx context.Context) error {
	return onConnection(ctx, s.AdminURL(superuser), func(conn *pgx.Conn) error {
		for _, statement := range []string{
			"CREATE ROLE " + ordinary + " LOGIN CREATEDB PASSWORD '" + s.password + "'",
			"CREATE DATABASE " + Database + " OWNER " + ordinary,
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Server) close() error {
	var err error
	if s.process != nil {
		err = s.process.end(syscall.SIGQUIT) // at once
	}
	return errors.Join(err, s.scratch.remove())
}

// URL is a database of the server, for the ordinary role, over its socket.
func (s *Server) URL(database string) string { return s.socketURL(ordinary, database) }

// AdminURL is a database of the server, for its superuser.
func (s *Server) AdminURL(database string) string { return s.socketURL(superuser, database) }

func (s *Server) socketURL(role, database string) string {
	query := url.Values{"host": {s.scratch.dir}, "port": {strconv.Itoa(s.port)}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database, RawQuery: query.Encode()}).String()
}

const loopback = "127.0.0.1"

// Addr is the server's TCP address. The server needs [Config.TCP].
func (s *Server) Addr() string { return net.JoinHostPort(s.config.Address, strconv.Itoa(s.port)) }

// URLVia is a database of the server for the ordinary role, over whatever
// listens at a TCP address and leads to [Server.Addr].
func (s *Server) URLVia(address, database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(ordinary, s.password), Host: address,
		Path: "/" + database, RawQuery: "sslmode=disable",
	}).String()
}

// freePort is a port of an address that nobody else gets while the server is down.
func freePort(ctx context.Context, address string) (int, error) {
	free, err := testport.Free(ctx, address)
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(free)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// onConnection does something on a connection of its own.
func onConnection(ctx context.Context, url string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}
