//go:build unix

package readmetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// driver runs the scripts that descriptor 3 names, all in one shell, and
// answers on descriptor 4 after each. A command that fails ends it.
const driver = `
set -eo pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
while IFS= read -r script <&3; do
	. "$script" </dev/null >"$script.output" 2>&1 3<&- 4>&-
	echo >&4
done
`

// bash is one session of a shell.
type bash struct {
	scripts  string // folder
	requests *os.File
	replies  *bufio.Reader
	kill     func()
	wait     func() error
}

// startBash starts a session in a folder. It keeps its scripts in another one.
func startBash(folder, scripts string, environment []string) (*bash, error) {
	theirRequests, requests, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	replies, theirReplies, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirRequests.Close(), requests.Close())
	}
	process := group(folder, environment, "bash", "--noprofile", "--norc", "-c", driver)
	process.ExtraFiles = []*os.File{theirRequests, theirReplies}
	if err := errors.Join(process.Start(), theirRequests.Close(), theirReplies.Close()); err != nil {
		return nil, errors.Join(err, requests.Close(), replies.Close())
	}
	return &bash{
		scripts:  scripts,
		requests: requests,
		replies:  bufio.NewReader(replies),
		kill:     func() { signalGroup(process, syscall.SIGKILL) },
		wait:     sync.OnceValue(func() error { return errors.Join(process.Wait(), replies.Close()) }),
	}, nil
}

// run runs a script and returns what it printed. An error ends the session.
func (b *bash) run(ctx context.Context, name, script string) (string, error) {
	file := filepath.Join(b.scripts, name)
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, b.kill)()
	if _, err := fmt.Fprintln(b.requests, file); err != nil {
		return "", err
	}
	_, ended := b.replies.ReadString('\n')
	output, err := os.ReadFile(file + ".output")
	if ended != nil {
		return string(output), errors.Join(errors.New("the shell ended"), context.Cause(ctx), b.wait())
	}
	return string(output), err
}

// close ends the session and what still runs in its background.
func (b *bash) close() {
	b.requests.Close()
	_ = b.wait()
	b.kill()
}

// group returns a command that is not started and leads a process group of its
// own.
func group(folder string, environment []string, name string, arguments ...string) *exec.Cmd {
	command := exec.Command(name, arguments...)
	command.Dir = folder
	command.Env = environment
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// signalGroup reaches a started command and its children. There may be none left.
func signalGroup(command *exec.Cmd, s syscall.Signal) {
	_ = syscall.Kill(-command.Process.Pid, s)
}
