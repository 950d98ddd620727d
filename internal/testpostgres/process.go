//go:build unix

package testpostgres

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// patience bounds each wait for a server.
const patience = time.Minute

// process is a server that runs. Its standard error is a pipe that its own
// child processes inherit, so it has ended only when all of them have.
type process struct {
	cmd   *exec.Cmd
	log   *log
	ended chan struct{}
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: &log{}, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is in the log
	}()
	return p, nil
}

// await tries until the process is ready.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-p.ended:
			return fmt.Errorf("%s ended before it took connections, and printed:\n%s", p.cmd.Path, p.log)
		case <-ctx.Done():
			return fmt.Errorf("%s takes no connections: %w; it printed:\n%s", p.cmd.Path, err, p.log)
		}
	}
}

// end sends a signal, of which the process ends, and waits until it has.
func (p *process) end(signal syscall.Signal) error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	_ = p.cmd.Process.Signal(signal) // an error says that it has ended
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s did not end in %v after %v, and printed:\n%s", p.cmd.Path, patience, signal, p.log)
	}
}

// log is what a process has printed.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
