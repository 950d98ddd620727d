// Package scratch runs a Postgres server of our own on a database made for the
// occasion, with the settings that initdb chose but for those that are listed.
package scratch

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Config is how a server is set up. The zero value is useful.
type Config struct {
	// Bin is the folder of initdb and postgres. Defaults to the newest that
	// Debian's packages left below /usr/lib/postgresql, else to the PATH.
	Bin string
	// Dir is where the data lies, in a folder that Stop removes. Defaults to the
	// temporary folder; it must not be in memory where fsync is to cost something.
	Dir string
	// Settings are what differs from a stock server.
	Settings map[string]string
}

// Server is a running Postgres.
type Server struct {
	cmd    *exec.Cmd
	dir    string
	port   int
	output io.Closer
	log    chan string // all that the server wrote, once it has ended
}

// Start makes a database cluster and returns when its server takes connections.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cfg.Dir, "scratch-postgres-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for Postgres: %w", err)
	}
	s := &Server{dir: dir, log: make(chan string, 1)}
	if err := s.start(ctx, cmp.Or(cfg.Bin, newestBin()), owner, cfg.Settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, bin string, owner *syscall.Credential, settings map[string]string) (err error) {
	if owner != nil {
		if err := os.Chown(s.dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata="+data,
		"--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: owner}
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb of the folder %q: %w: %s (on Debian, apt-get install postgresql brings it)", bin, err, strings.TrimSpace(string(output)))
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	arguments := []string{"-D", data, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="}
	for name, value := range settings {
		arguments = append(arguments, "-c", name+"="+value)
	}
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), arguments...)
	// A group of its own: what interrupts this program is not to stop the
	// server before its clients.
	s.cmd.Dir, s.cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: owner, Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	s.cmd.Stderr, s.output = write, read
	err = errors.Join(s.cmd.Start(), write.Close()) // the server has it, and its end is that of the log
	if err != nil {
		return errors.Join(err, read.Close())
	}
	return s.awaitReady(ctx, read)
}

// awaitReady follows the server's log, the only place where a start is told,
// and goes on to do so until the server ends.
func (s *Server) awaitReady(ctx context.Context, log io.Reader) error {
	ready := make(chan struct{})
	go func() {
		var all strings.Builder
		lines := bufio.NewScanner(log)
		for seen := false; lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if !seen && strings.Contains(lines.Text(), "ready to accept connections") {
				seen = true
				close(ready)
			}
		}
		s.log <- all.String()
	}()
	select {
	case <-ready:
		return nil
	case log := <-s.log:
		return errors.Join(fmt.Errorf("postgres ended at its start: %w: %s", s.cmd.Wait(), log), s.output.Close())
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), s.end())
	}
}

// URL names a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// PID is the postmaster's, the parent of all of the server's processes.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop disconnects everybody, ends the server and removes its data.
func (s *Server) Stop() error {
	return errors.Join(s.end(), os.RemoveAll(s.dir))
}

func (s *Server) end() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil { // a fast shutdown
		return err
	}
	err := s.cmd.Wait()
	<-s.log
	return errors.Join(err, s.output.Close())
}

// unprivileged is who runs the server when root must not: postgres where the
// package made that account, else nobody.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("find an account for Postgres, which root must not run: %w", err)
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func newestBin() string {
	major := func(bin string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
		return number
	}
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) > 0 {
		return slices.MaxFunc(bins, func(a, b string) int { return cmp.Compare(major(a), major(b)) })
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(initdb)
	}
	return ""
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
