package remoting_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"singularity/cluster/certs"
	"singularity/cluster/remoting"
)

// child is the argument that makes a process of the test binary a node: the
// folder of its certificates, its boot and its address follow.
const child = "be-a-node"

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == child {
		os.Exit(beNode(os.Args[2], os.Args[3], os.Args[4]))
	}
	os.Exit(m.Run())
}

// beNode runs a node that echoes until its stdin ends.
func beNode(dir, boot, bind string) int {
	identity, err := certs.Load(dir, slog.Default())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	node, err := remoting.Listen(remoting.Config{Boot: boot, Bind: bind, TLS: identity, Deliver: echo, Limits: patient(remoting.Limits{})})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer node.Close()
	fmt.Println(node.Self().Address)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// process is a node in a process of its own.
type process struct {
	self    remoting.Peer
	command *exec.Cmd
}

func (w world) process(t *testing.T, bind string) *process {
	t.Helper()
	p := &process{self: remoting.Peer{Boot: newBoot()}}
	p.command = exec.Command(os.Args[0], child, w.folder(t), p.self.Boot, bind)
	p.command.Stderr = os.Stderr
	stdin, err := p.command.StdinPipe()
	check(t, err)
	stdout, err := p.command.StdoutPipe()
	check(t, err)
	check(t, p.command.Start())
	t.Cleanup(func() {
		p.signal(t, syscall.SIGCONT)
		stdin.Close()
		_ = p.command.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	check(t, err)
	p.self.Address = strings.TrimSpace(line)
	return p
}

// signal sends a signal, unless the process has ended.
func (p *process) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}
