package soak

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

const (
	// stepTakes is for how long each step of a measured run waits for the world.
	stepTakes = 150 * time.Millisecond
	// runTakes is how long a run has a slot at least.
	runTakes = 3 * stepTakes
	// nodeSlots is how many runs a node of the program has at once.
	nodeSlots = 32
	// leastGain is how much more three nodes do than one, at least.
	leastGain = 2.8
	// leastWaiting is how much of their slots' time the runs of one node wait, at
	// least: else something else than its slots limits it.
	leastWaiting = 0.85
)

// TestThreeNodesDoTheWorkOfThree measures how many runs whose steps wait one node
// ends, and three on the same Postgres, in turns.
func TestThreeNodesDoTheWorkOfThree(t *testing.T) {
	t.Parallel()
	c, admin := newCountedCluster(t, "throughput, nodes that talk")
	c.talking = true
	c.ledger.takes = stepTakes
	// The history would cost the server as much as the runs.
	if _, err := c.audit.pool.Exec(t.Context(), noHistory); err != nil {
		t.Fatal(err)
	}
	lasts := time.Second
	if *full {
		lasts = 15 * time.Second
	}
	c.begin()
	took := map[int][]work{}
	for range often(1, 5) {
		for _, nodes := range []int{1, 3} {
			took[nodes] = append(took[nodes], c.measure(admin, nodes, lasts))
		}
	}
	for nodes, rounds := range took {
		c.tabulate(nodes, rounds)
	}
	one, three := c.verdict.Figures["1_nodes_runs_per_second"].Median, c.verdict.Figures["3_nodes_runs_per_second"].Median
	c.verdict.Figures["3_nodes_to_1_runs_per_second"] = figureOf(three / one)
	c.settle()
	if waiting := one * runTakes.Seconds() / nodeSlots; *full && waiting < leastWaiting {
		c.invalidly("the runs of one node waited for %.2f of their slots' time, expected at least %.2f", waiting, leastWaiting)
	}
	if *full && three < leastGain*one {
		c.brokenly("three nodes ended %.1f runs a second and one %.1f; expected %.1f times as many", three, one, leastGain)
	}
	c.expectNobodyDead()
	c.conclude()
}

const noHistory = `
ALTER TABLE singularity.workflow_runs DISABLE TRIGGER soak_note_change;
ALTER TABLE singularity.step_checkpoints DISABLE TRIGGER soak_note_alteration`

// work is what was done in a time.
type work struct {
	runs, statements int
	postgres         time.Duration // of the processors
	machine          float64       // how busy all of it was
	lasted           time.Duration
}

// measure has some nodes end runs, of which they always have more than they can
// take, for a time.
func (c *cluster) measure(admin *audit, nodes int, lasts time.Duration) work {
	c.t.Helper()
	c.launchSome(nodes)
	c.awaitStreams()
	most := float64(nodes*nodeSlots) / runTakes.Seconds()
	load := c.startLoad(int(1.3 * most))
	warm := len(c.ledger.all()) + nodes*nodeSlots*6 // two runs in each slot
	c.ledger.await(c.t, "all slots to be busy", func(effects []Effect) bool { return len(effects) >= warm })
	postmaster := c.postmaster(admin)
	c.forgetStatements(admin)
	began, ended, cpu, machine := time.Now(), c.ended(admin), familyTime(postmaster), readCPU()
	pass(c.t, lasts)
	w := work{
		lasted: time.Since(began), runs: c.ended(admin) - ended,
		postgres: familyTime(postmaster) - cpu, machine: machine.share(readCPU()),
	}
	renewals, others := c.asked(admin)
	w.statements = renewals
	for _, calls := range others {
		w.statements += calls
	}
	load.stop()
	c.awaitQuiet()
	c.stopNodes()
	return w
}

// tabulate adds to the report what so many nodes did.
func (c *cluster) tabulate(nodes int, rounds []work) {
	columns := map[string]func(work) float64{
		"runs_per_second":         func(w work) float64 { return float64(w.runs) / w.lasted.Seconds() },
		"statements_per_run":      func(w work) float64 { return float64(w.statements) / float64(w.runs) },
		"postgres_cpu_ms_per_run": func(w work) float64 { return milliseconds(w.postgres) / float64(w.runs) },
		"postgres_cpu_share":      func(w work) float64 { return w.postgres.Seconds() / w.lasted.Seconds() },
		"machine_cpu_share":       func(w work) float64 { return w.machine },
	}
	for name, column := range columns {
		var values []float64
		for _, w := range rounds {
			values = append(values, column(w))
		}
		c.verdict.Figures[fmt.Sprintf("%d_nodes_%s", nodes, name)] = figureOf(values...)
	}
}

// ended counts the runs that have ended, for anybody but the nodes.
func (c *cluster) ended(admin *audit) int {
	c.t.Helper()
	count, err := one[int](c.t.Context(), admin, `SELECT count(*) FROM singularity.workflow_runs WHERE state IN `+terminal)
	if err != nil {
		c.t.Fatal(err)
	}
	return count
}

// postmaster is the parent of the server's processes.
func (c *cluster) postmaster(admin *audit) int {
	c.t.Helper()
	backend, err := one[int](c.t.Context(), admin, `SELECT pg_backend_pid()`)
	if err != nil {
		c.t.Fatal(err)
	}
	parent, err := strconv.Atoi(processStat(strconv.Itoa(backend))[parentField])
	if err != nil || parent == os.Getpid() {
		c.t.Fatalf("find the parent of process %d: %v", backend, err)
	}
	return parent
}
