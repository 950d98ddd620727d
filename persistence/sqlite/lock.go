package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"singularity/persistence"
)

// lock keeps other processes, and other stores of this one, out of a
// directory. The system lets go of it when the process ends, however it ends.
type lock struct {
	file    *flock.Flock
	pidFile string
}

// acquireLock takes the lock and leaves the process id beside it, for whoever
// does not get it. The id has a file of its own because some systems keep
// others from reading a locked one.
func acquireLock(dir string) (*lock, error) {
	l := &lock{
		file:    flock.New(filepath.Join(dir, "singularity.lock")),
		pidFile: filepath.Join(dir, "singularity.pid"),
	}
	locked, err := l.file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", l.file.Path(), err)
	}
	if !locked {
		return nil, fmt.Errorf("%w: %s has it; stop that process, or use another directory", persistence.ErrLocked, l.holder())
	}
	if err := os.WriteFile(l.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = l.file.Unlock()
		return nil, err
	}
	return l, nil
}

func (l *lock) holder() string {
	pid, err := os.ReadFile(l.pidFile)
	if err != nil || len(pid) == 0 {
		return "a process that just began"
	}
	return "process " + strings.TrimSpace(string(pid))
}

func (l *lock) release() error { return l.file.Unlock() }
