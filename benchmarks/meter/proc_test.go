package meter

import (
	"os"
	"testing"
	"time"
)

func TestProcessWithAnyNameIsUnderstood(t *testing.T) {
	t.Parallel()
	const rest = " S 42 7 7 0 -1 4194560 1 2 3 4 150 50 30 10 20 0 1 0 99"
	for _, name := range []string{"(postgres)", "(a) b (c)", "())"} {
		p, err := parseProcess(7, "7 "+name+rest)
		want := process{pid: 7, parent: 42, self: 2 * time.Second, waitedFor: 400 * time.Millisecond}
		if err != nil || p != want {
			t.Errorf("%s: %+v, %v; want %+v", name, p, err, want)
		}
	}
	for _, stat := range []string{"", "7 (postgres)", "7 (postgres) S 42", "7 (postgres) S x 7 7 0 -1 4194560 1 2 3 4 150 50 30 10 20"} {
		if p, err := parseProcess(7, stat); err == nil {
			t.Errorf("%q was taken for %+v", stat, p)
		}
	}
}

func TestReadingsOfThisProcessArePlausible(t *testing.T) {
	t.Parallel()
	self, err := readProcess(os.Getpid())
	if err != nil || self.parent != os.Getppid() {
		t.Errorf("parent %d, %v; want %d", self.parent, err, os.Getppid())
	}
	machine, err := readMachine()
	if err != nil || machine < self.self {
		t.Errorf("the machine was busy for %v, this process for %v, %v", machine, self.self, err)
	}
	if bytes, err := residentBytes(os.Getpid()); err != nil || bytes < 1<<20 {
		t.Errorf("%d bytes resident, %v", bytes, err)
	}
	children, err := childrenOf(os.Getppid())
	if err != nil || len(children) == 0 {
		t.Errorf("children %v, %v; want this process among them", children, err)
	}
}
