//go:build unix

package testpostgres

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// Where servers live. The paths are short, since that of a socket has to fit
// into 107 bytes, and every user can enter them, which may not hold for
// os.TempDir.
const (
	diskRoot   = "/tmp"
	memoryRoot = "/dev/shm" // where a database is made in a twentieth of the time
)

// memoryNeeded is what a server may come to write: containers often have less
// in their memory file system.
const memoryNeeded = 1 << 30

// fastRoot is the memory file system, or the disk where that is too small.
func fastRoot() string {
	var free syscall.Statfs_t
	if err := syscall.Statfs(memoryRoot, &free); err != nil || free.Bavail*uint64(free.Bsize) < memoryNeeded {
		return diskRoot
	}
	return memoryRoot
}

// scratch is the directory of one server. A guard outlives the process of the
// tests, ends the server then and removes the directory.
type scratch struct {
	dir     string
	account *syscall.Credential // that the server runs as; nil for the tests' own
	leash   io.Closer           // held by this process alone: the guard acts when it is gone
	guard   *exec.Cmd
}

// guardScript waits for the end of its input, which comes with the end of the
// process that holds the other side, however that ended. A parent death signal
// would be Linux's alone, would come when the thread that started the server
// ends, and would leave the files. A server that has not written its process
// id yet cannot go on without its directory.
const guardScript = `
cat
kill -QUIT "$(head -n 1 "$1")"
until rm -rf "$0"; do sleep 0.1; done`

// newScratch makes a directory below root for a server that writes its process
// id to a file in it.
func newScratch(root, pidFile string) (*scratch, error) {
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(root, "testpostgres")
	if err != nil {
		return nil, err
	}
	s := &scratch{dir: dir, account: account}
	if err := s.protect(pidFile); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *scratch) protect(pidFile string) error {
	if s.account != nil {
		if err := os.Chown(s.dir, int(s.account.Uid), int(s.account.Gid)); err != nil {
			return err
		}
	}
	guard := s.command("sh", "-c", guardScript, s.dir, s.path(pidFile))
	guard.Dir = "/"
	leash, err := guard.StdinPipe()
	if err != nil {
		return err
	}
	if err := guard.Start(); err != nil {
		return fmt.Errorf("guard a test server: %w", err)
	}
	s.guard, s.leash = guard, leash
	return nil
}

// remove removes the directory, whose server has ended.
func (s *scratch) remove() error {
	return errors.Join(s.leash.Close(), s.guard.Wait())
}

// path is a file in the directory.
func (s *scratch) path(name string) string { return s.dir + "/" + name }

// write makes a file that the server's account owns.
func (s *scratch) write(name, content string) error {
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		return err
	}
	if s.account == nil {
		return nil
	}
	return os.Chown(s.path(name), int(s.account.Uid), int(s.account.Gid))
}

// add adds to the end of a file that there is.
func (s *scratch) add(name, content string) error {
	file, err := os.OpenFile(s.path(name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Close())
}

// command is a program that works in the directory as the server's account. It
// is in a process group of its own: what a terminal sends to the tests is not
// for it.
func (s *scratch) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.account}
	return cmd
}

// run runs a program to its end.
func (s *scratch) run(program string, args ...string) error {
	if output, err := s.command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, output)
	}
	return nil
}

// unprivileged is whom to run servers as: Postgres refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("nobody")
	if err != nil {
		account, err = user.Lookup("postgres")
	}
	if err != nil {
		return nil, fmt.Errorf("root needs another user to run Postgres as, nobody or postgres: %w", err)
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
