package soak

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	// What the program is made of: the go tool must not take an old result for
	// that of this source.
	_ "singularity"
	_ "singularity/server"
)

// How much is done.
var (
	full       = flag.Bool("soak.full", false, "repeat each fault until its figures mean something, one scenario after the other, on a server that keeps its data on disk")
	repeats    = flag.Int("soak.repeats", 0, "how often each fault happens; 0 is the usual number of the scenario")
	rate       = flag.Int("soak.rate", 0, "runs started per second while a scenario wants load; 0 is 60, and 200 in full: half of two processors")
	idle       = flag.Duration("soak.idle", time.Minute, "for how long, in full, a million runs that are due later are left alone")
	reportFile = flag.String("soak.report", "", "file that the report is written to")
)

// usualLoad is how many runs are started per second.
func usualLoad() int {
	switch {
	case *rate > 0:
		return *rate
	case *full:
		return 200
	default:
		return 60
	}
}

// often is how often a fault happens: in short and in full.
func often(short, long int) int {
	switch {
	case *repeats > 0:
		return *repeats
	case *full:
		return long
	default:
		return short
	}
}

// program is the one in node, built once.
var program string

// atOnce is how many scenarios are under way at once in the short form: they wait
// for leases more than they compute.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	var err error
	if !*full && !asked {
		err = flag.Set("test.parallel", atOnce)
	}
	if err == nil {
		err = run(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(m *testing.M) error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := readSources(); err != nil {
		return err
	}
	program = filepath.Join(dir, "node")
	build := exec.Command("go", "build", "-tags", "faulttest", "-o", program, "./node")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the node: %w\n%s", err, output)
	}
	m.Run() // whose result the testing package keeps
	return results.write(*reportFile)
}

// readSources opens the files that are in the program and not in this test, so
// that the go tool sees them, too.
func readSources() error {
	for _, pattern := range []string{"node/*.go", "../../*/*_faulttest.go", "../../*/*/*_faulttest.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, file := range files {
			if _, err := os.ReadFile(file); err != nil {
				return err
			}
		}
	}
	return nil
}
