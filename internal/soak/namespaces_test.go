package soak

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// namespaces is a network of the kernel: a switch, and at each of its ports a
// machine of one node, all in namespaces of their own. This machine has a port,
// too, under two addresses: one for the test, and one for Postgres. Faults are
// frames that the switch drops.
type namespaces struct {
	t      testing.TB
	name   string // begins those of all its namespaces
	subnet int
	nodes  int
	server *site
}

// made numbers the networks of this process.
var made atomic.Int64

// The network is one of those of 198.18.0.0/15 with 256 addresses: they are set
// aside for tests of networks, so that nothing else has them.
const (
	subnets       = 512
	testAddress   = 1
	serverAddress = 2
	firstNode     = 10
)

// rules has the switch count what it drops, once there is a fault.
const rules = `
table bridge faults {
	counter dropped {}
	chain forward { type filter hook forward priority 0; }
}`

// newNamespaces makes the switch, and this machine's port.
func newNamespaces(t testing.TB) (*namespaces, error) {
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w; make setup installs it", err)
		}
	}
	removeLeftovers()
	n := &namespaces{t: t, name: fmt.Sprintf("%s%d-%d", namespacePrefix, os.Getpid(), made.Add(1))}
	t.Cleanup(func() {
		if err := removeNamespaces(n.owns); err != nil {
			t.Errorf("remove the network: %v", err)
		}
	})
	if err := execute("", "ip", "netns", "add", n.hub()); err != nil {
		return nil, err
	}
	if err := n.plugIn(); err != nil {
		return nil, err
	}
	n.server = &site{address: n.address(serverAddress)}
	return n, errors.Join(
		execute(`link add hub type bridge forward_delay 0
			link set dev uplink master hub up
			link set dev hub up`, "ip", "-n", n.hub(), "-batch", "-"),
		execute(fmt.Sprintf(`address add %s/24 dev %s
			address add %s/24 dev %s
			link set dev %s up`, n.host(), n.port(), n.server.address, n.port(), n.port()), "ip", "-batch", "-"),
		execute(rules, "ip", "netns", "exec", n.hub(), "nft", "-f", "-"),
	)
}

// plugIn makes this machine's port of the switch, whose name takes a subnet for
// this network alone.
func (n *namespaces) plugIn() error {
	inUse, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for i := range subnets {
		n.subnet = (os.Getpid() + i) % subnets
		whole := netip.MustParsePrefix(n.address(0) + "/24")
		if slices.ContainsFunc(inUse, func(a net.Addr) bool {
			other, err := netip.ParsePrefix(a.String())
			return err == nil && other.Overlaps(whole)
		}) {
			continue
		}
		err = execute("", "ip", "link", "add", n.port(), "type", "veth", "peer", "name", "uplink", "netns", n.hub())
		if err == nil || !strings.Contains(err.Error(), "File exists") {
			return err
		}
	}
	return fmt.Errorf("all %d networks of 198.18.0.0/15 are in use: %w", subnets, err)
}

func (n *namespaces) hub() string  { return n.name + "-hub" }
func (n *namespaces) port() string { return fmt.Sprint("soak", n.subnet) }

func (n *namespaces) address(host int) string {
	return fmt.Sprintf("198.%d.%d.%d", 18+n.subnet/256, n.subnet%256, host)
}

func (n *namespaces) kind() string    { return byNamespaces }
func (n *namespaces) host() string    { return n.address(testAddress) }
func (n *namespaces) postgres() *site { return n.server }

func (n *namespaces) join(postgres string) *site {
	n.t.Helper()
	n.nodes++
	machine, port := fmt.Sprintf("%s-%d", n.name, n.nodes), fmt.Sprint("port", n.nodes)
	s := &site{address: n.address(firstNode + n.nodes), postgres: postgres, command: []string{"ip", "netns", "exec", machine}}
	err := execute("", "ip", "netns", "add", machine)
	if err == nil {
		err = errors.Join(
			execute(fmt.Sprintf(`link add %s type veth peer name eth0 netns %s
				link set dev %s master hub up`, port, machine, port), "ip", "-n", n.hub(), "-batch", "-"),
			execute(fmt.Sprintf(`address add %s/24 dev eth0
				link set dev lo up
				link set dev eth0 up`, s.address), "ip", "-n", machine, "-batch", "-"),
		)
	}
	if err != nil {
		n.t.Fatalf("add a machine to the network: %v", err)
	}
	return s
}

func (n *namespaces) suffer(faults ...fault) {
	n.t.Helper()
	var script strings.Builder
	fmt.Fprintln(&script, "flush chain bridge faults forward")
	for _, f := range faults {
		chance := ""
		if f.percent < everything {
			chance = fmt.Sprintf("numgen random mod 100 < %d ", f.percent)
		}
		fmt.Fprintf(&script, "add rule bridge faults forward ip saddr %s ip daddr %s %scounter name dropped drop\n",
			f.from.address, f.to.address, chance)
	}
	if err := execute(script.String(), "ip", "netns", "exec", n.hub(), "nft", "-f", "-"); err != nil {
		n.t.Fatalf("break the network: %v", err)
	}
}

func (n *namespaces) lost() int {
	n.t.Helper()
	output, err := exec.Command("ip", "netns", "exec", n.hub(), "nft", "-j", "list", "counters").Output()
	if err != nil {
		n.t.Fatalf("count what was lost: %v", err)
	}
	var listed struct {
		Objects []struct {
			Counter struct{ Packets int }
		} `json:"nftables"`
	}
	if err := json.Unmarshal(output, &listed); err != nil {
		n.t.Fatalf("count what was lost: %v", err)
	}
	packets := 0
	for _, object := range listed.Objects {
		packets += object.Counter.Packets
	}
	return packets
}

// namespacePrefix begins the names of all namespaces of these tests; the process
// that made them follows.
const namespacePrefix = "soak-"

// removeLeftovers removes, once, what earlier processes left that were killed.
// Others may be at it, too.
var removeLeftovers = sync.OnceFunc(func() { _ = removeNamespaces(abandoned) })

// abandoned reports whether the process is gone that made a namespace.
func abandoned(name string) bool {
	rest, ours := strings.CutPrefix(name, namespacePrefix)
	text, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(text)
	return ours && err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func (n *namespaces) owns(name string) bool { return strings.HasPrefix(name, n.name+"-") }

// removeNamespaces removes some namespaces, with what runs and lies there.
func removeNamespaces(selected func(name string) bool) error {
	output, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return fmt.Errorf("list the namespaces: %w", err)
	}
	var failures []error
	for line := range strings.Lines(string(output)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !selected(name) {
			continue
		}
		// The nodes of a killed test go on; one that has ended meanwhile is no failure.
		pids, _ := exec.Command("ip", "netns", "pids", name).Output()
		for text := range strings.Lines(string(pids)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		failures = append(failures, execute("", "ip", "netns", "delete", name))
	}
	return errors.Join(failures...)
}

// execute runs a program to its end.
func execute(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// What a killed run has left is named as usual, for a process that has ended.
func TestNamespacesOfKilledRunsAreRemoved(t *testing.T) {
	t.Parallel()
	if n, err := newNamespaces(t); err != nil {
		t.Logf("nothing is left where there can be no namespaces: %v", err)
	} else if abandoned(n.hub()) {
		t.Errorf("%s is in use, and would be removed", n.hub())
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	left := fmt.Sprintf("%s%d-1-hub", namespacePrefix, ended.Process.Pid)
	if !abandoned(left) {
		t.Errorf("%s would be left for ever", left)
	}
	for _, other := range []string{"soak", "soaked-1-1", "soak-here"} {
		if abandoned(other) {
			t.Errorf("%s is somebody else's, and would be removed", other)
		}
	}
}
