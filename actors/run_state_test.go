package actors

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// newRunState is a run of two steps and a loop before its first event.
func newRunState(level workflow.Durability) *runState {
	s := &runState{phase: idle}
	if err := setUp(s, string(level)+", steps one turn* last"); err != nil {
		panic(err)
	}
	return s
}

// TestEachEventInEachPhase compares what every event does in every phase with
// testdata/phases.golden, which lists the phase that follows and the effects. An
// event without effects may still leave a mark: the traces tell what follows.
func TestEachEventInEachPhase(t *testing.T) {
	t.Parallel()
	reach := []struct {
		phase  phase
		events []string
	}{
		{idle, nil},
		{stepping, []string{"began"}},
		{expiring, []string{"began", "step expired, 1"}},
		{stopping, []string{"began", "cancelled"}},
		{handing, []string{"began", "evicted"}},
		{committing, []string{"began", "step done, 1"}},
		{backingOff, []string{"began", "step failed, 1: no", "committed"}},
		{withheld, []string{"began", "lease late, 1"}},
		{ended, []string{"began", "step done, 1", "refused, fenced"}},
	}
	events := []string{
		"began", "began badly: bad input", "step done, 1", "turn done, 1", "step failed, 1: no", "step failed for good, 1: no",
		"step snoozed, 1: 1s", "step snoozed, 1: 1m", "step cancelled, 1: no", "deadline over",
		"step gave up, 1", "step expired, 1", "grace over, 1", "committed", "refused, fenced", "refused, cannot be stored",
		"backoff over, 1", "lease late, 1", "lease renewed", "cancelled", "disowned", "drained", "evicted",
	}
	var out strings.Builder
	for _, level := range levels {
		for _, row := range reach {
			s := newRunState(level)
			for _, text := range row.events {
				mustApply(t, s, text)
			}
			if s.phase != row.phase {
				continue // such a run is never there
			}
			fmt.Fprintf(&out, "%s, %s\n", level, row.phase)
			var idle []string
			for _, text := range events {
				after := *s
				effects := mustApply(t, &after, text)
				if after.phase == row.phase && len(effects) == 0 {
					idle = append(idle, text)
					continue
				}
				fmt.Fprintf(&out, "  %-28s %-11s %s\n", text, after.phase, strings.Join(effects, "; "))
			}
			fmt.Fprintf(&out, "  no effect: %s\n\n", strings.Join(idle, "; "))
		}
	}
	const path = "testdata/phases.golden"
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the table has become\n%s", out.String())
	}
}

func mustApply(t *testing.T, s *runState, text string) []string {
	t.Helper()
	e, err := parseEvent(text)
	if err != nil {
		t.Fatal(err)
	}
	var effects []string
	for _, effect := range s.apply(e) {
		effects = append(effects, s.describe(effect))
	}
	return effects
}

// watchdog applies events to a run's state and checks what must hold whatever
// happens.
type watchdog struct {
	t        testing.TB
	state    *runState
	trail    []string
	begun    int   // attempts
	told     int   // attempts whose outcome was told
	underWay int64 // token of the attempt under way; 0 for none
	pending  *commit
	landed   position
	last     workflow.State // of the last commit that landed
	gone     bool           // cancelled, or disowned
	left     *leave
}

func watch(t testing.TB, level workflow.Durability) *watchdog {
	s := newRunState(level)
	return &watchdog{t: t, state: s, landed: s.stored}
}

func (w *watchdog) failf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(w.trail, "\n"))
}

func (w *watchdog) apply(e event) {
	w.t.Helper()
	before := *w.state
	switch e := e.(type) {
	case stepReturned:
		if e.token == w.underWay {
			w.underWay = 0
		}
	case committed:
		if w.pending != nil && w.left == nil {
			w.landed, w.last = w.pending.next, w.pending.state
		}
		w.pending = nil
	case refused:
		w.pending = nil
	case leaseLate:
		if e.token == w.underWay && before.phase == stepping {
			w.underWay = 0
		}
	case cancelled:
		w.gone = true
	case disowned:
		w.gone = w.gone || w.state.durability != workflow.Ephemeral
	}
	effects := w.state.apply(e)
	w.trail = append(w.trail, fmt.Sprintf("%T%+v in %s: %v", e, e, before.phase, effects))
	if before.phase == ended && len(effects) > 0 {
		w.failf("an ended run has effects")
	}
	if w.state.seq < before.seq || w.state.seq > before.seq+1 {
		w.failf("the sequence went from %d to %d", before.seq, w.state.seq)
	}
	for i, effect := range effects {
		w.check(effect, i == len(effects)-1)
	}
}

func (w *watchdog) check(e effect, last bool) {
	w.t.Helper()
	switch e := e.(type) {
	case runStep:
		w.begun++
		switch {
		case w.underWay != 0:
			w.failf("an attempt begins while %d is under way", w.underWay)
		case w.pending != nil:
			w.failf("an attempt begins while a commit is under way")
		case w.gone:
			w.failf("an attempt begins after the run was lost")
		case w.state.durability == workflow.Checkpointed && e.position != w.landed:
			w.failf("an attempt at %+v begins, and the row stands at %+v", e.position, w.landed)
		}
		w.underWay = e.token
	case abandon:
		w.underWay = 0
	case attemptFailed, attemptSnoozed, attemptFinished:
		if w.told++; w.told > w.begun {
			w.failf("%d attempts were answered %d times", w.begun, w.told)
		}
	case commit:
		switch {
		case w.state.durability == workflow.Ephemeral:
			w.failf("an ephemeral run commits")
		case w.pending != nil:
			w.failf("two commits are under way")
		case !last:
			w.failf("a commit is followed by other effects")
		case e.state == workflow.Running && e.entry == noEntry:
			w.failf("a run goes on without an entry")
		}
		w.pending = &e
	case leave:
		stored := w.state.durability != workflow.Ephemeral
		switch {
		case !last:
			w.failf("a leave is followed by other effects")
		case w.underWay != 0:
			w.failf("the run leaves with attempt %d under way", w.underWay)
		case e.state == workflow.Cancelled && errors.Is(e.err, errCancelled) && !w.gone:
			w.failf("cancelled by nobody")
		case stored && !w.gone && e.state != workflow.Running && e.state != w.last:
			w.failf("the run leaves %s, and the row says %s", e.state, w.last)
		}
		w.left = &e
	}
}

// evictNow ends the run as a node does that stops at once, and answers all that
// is still open.
func (w *watchdog) evictNow() {
	w.t.Helper()
	w.apply(evicted{})
	for range 4 {
		switch {
		case w.left != nil:
			return
		case w.state.phase == idle:
			w.apply(began{})
		case w.pending != nil:
			w.apply(committed{})
		default:
			w.apply(graceOver{token: w.state.token})
		}
	}
	if w.left == nil {
		w.failf("an evicted run does not leave")
	}
}

// FuzzRunState feeds a run's state any events in any order.
func FuzzRunState(f *testing.F) {
	f.Add([]byte{0, 0, 1, 9, 1, 9, 1, 9})
	f.Add([]byte{1, 0, 3, 14, 4, 13, 8, 8, 9})
	f.Add([]byte{2, 0, 2, 2, 6, 7, 15})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		w := watch(t, levels[int(data[0])%len(levels)])
		for _, b := range data[1:] {
			w.apply(eventOf(b, w.state.token))
		}
		w.evictNow()
	})
}

// eventOf makes an event of a byte: most of the time one that is about the
// attempt under way.
func eventOf(b byte, token int64) event {
	if b >= 192 {
		token -= int64(b & 3)
	}
	no := errors.New("no")
	switch b % 22 {
	case 0:
		return began{}
	case 1, 2:
		return stepReturned{token: token, done: true}
	case 3:
		return stepReturned{token: token}
	case 4:
		return stepReturned{token: token, err: no, random: float64(b) / 256}
	case 5:
		return stepReturned{token: token, err: workflow.RetryAfter(no, time.Duration(b)*100*time.Millisecond)}
	case 6:
		return stepReturned{token: token, err: workflow.Permanent(no)}
	case 7:
		return stepExpired{token}
	case 8:
		return graceOver{token: token}
	case 9, 10:
		return committed{}
	case 11:
		return refused{[]error{persistence.ErrFenced, persistence.ErrBadWrite, workflow.ErrOutcomeUnknown, workflow.ErrUnavailable}[b>>4&3]}
	case 12:
		return backoffOver{token}
	case 13:
		return cancelled{}
	case 14:
		return drained{}
	case 15:
		return leaseLate{token}
	case 16:
		return leaseRenewed{}
	case 17:
		return disowned{}
	case 18:
		return deadlineOver{}
	case 19:
		return stepReturned{token: token, err: workflow.Snooze(time.Duration(b) * 100 * time.Millisecond)}
	case 20:
		return stepReturned{token: token, err: workflow.Cancel(no)}
	default:
		if b < 128 {
			return began{no}
		}
		return evicted{}
	}
}

func TestRunStateKeepsItsPromisesInRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10_000) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := watch(t, levels[seed%3])
		w.apply(began{})
		for range random.IntN(40) {
			w.apply(eventOf(byte(random.IntN(256)), w.state.token))
		}
		w.evictNow()
	}
}

// The simulation: runs, their rows, and everything that can go wrong between
// them, on a clock of its own.

var (
	firstSeed = flag.Uint64("seed", 0, "the first seed of simulations")
	seeds     = flag.Uint64("seeds", 20, "how many seeds a whole node is simulated with; its state machine with 200 times as many")
)

func TestSimulatedRunsSurviveRandomFaults(t *testing.T) {
	t.Parallel()
	faults := map[string]int{}
	for seed := *firstSeed; seed < *firstSeed+200**seeds; seed++ {
		if err := simulate(seed, faults); err != nil {
			t.Fatalf("seed %d: %v\nrun it again with -seed %d", seed, err, seed)
		}
	}
	for _, kind := range []string{"crash", "fenced", "repeated", "unknown", "abandoned", "cancel", "drain"} {
		if faults[kind] == 0 {
			t.Errorf("no simulation had a %q: the test has missed it", kind)
		}
	}
}

// world is one simulation.
type world struct {
	random *rand.Rand
	now    time.Duration
	agenda []appointment
	serial int
	healed bool // no more faults
	faults map[string]int
	err    error
}

type appointment struct {
	at     time.Duration
	serial int
	do     func()
}

// row is a run as its store has it.
type row struct {
	world     *world
	level     workflow.Durability
	state     workflow.State
	epoch     int64
	seq       int64
	at        position
	landings  map[int64]int64 // sequence number -> epoch that wrote it
	active    *activation
	cancelled bool
}

// activation is a run in memory.
type activation struct {
	row     *row
	epoch   int64
	state   *runState
	stopped bool // crashed, or left
}

func (w *world) after(most time.Duration, do func()) {
	w.serial++
	w.agenda = append(w.agenda, appointment{w.now + time.Duration(w.random.Int64N(int64(most))), w.serial, do})
}

func (w *world) chance(percent int) bool { return !w.healed && w.random.IntN(100) < percent }

func (w *world) fault(kind string) { w.faults[kind]++ }

func (w *world) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %s: "+format, append([]any{w.now}, args...)...)
	}
}

// next takes the earliest appointment off the agenda.
func (w *world) next() bool {
	if len(w.agenda) == 0 || w.err != nil {
		return false
	}
	first := 0
	for i, a := range w.agenda {
		if b := w.agenda[first]; a.at < b.at || a.at == b.at && a.serial < b.serial {
			first = i
		}
	}
	a := w.agenda[first]
	w.agenda = slices.Delete(w.agenda, first, first+1)
	w.now = a.at
	a.do()
	return true
}

func simulate(seed uint64, faults map[string]int) error {
	w := &world{random: rand.New(rand.NewPCG(seed, 1)), faults: faults}
	var rows []*row
	for range 3 {
		r := &row{world: w, level: levels[w.random.IntN(2)], state: workflow.Available, landings: map[int64]int64{}}
		rows = append(rows, r)
		w.after(time.Second, r.claim)
		r.disturb()
	}
	w.after(10*time.Minute, func() { w.healed = true })
	for steps := 0; w.next(); steps++ {
		if steps > 100_000 {
			return errors.New("it does not end")
		}
	}
	for i, r := range rows {
		if w.err == nil && !r.state.Terminal() {
			w.failf("run %d is %s at %+v in the end", i, r.state, r.at)
		}
	}
	return w.err
}

// disturb does something to a run, and something else later.
func (r *row) disturb() {
	w := r.world
	w.after(time.Minute, func() {
		if w.healed || r.state.Terminal() {
			return
		}
		switch a := r.active; {
		case a == nil:
		case w.chance(40):
			w.fault("crash")
			a.stopped = true
			w.after(time.Second, func() { r.reactivate(a) })
		case w.chance(30):
			w.fault("drain")
			a.apply(drained{})
		case w.chance(20):
			a.apply(evicted{})
		case w.chance(3):
			w.fault("cancel")
			r.state, r.cancelled = workflow.Cancelled, true
			r.epoch++
			w.after(time.Second, func() { a.apply(cancelled{}) })
		}
		r.disturb()
	})
}

// claim begins an activation of a run that waits.
func (r *row) claim() {
	if r.state != workflow.Available && r.state != workflow.Retryable {
		return
	}
	r.state = workflow.Running
	r.activate()
}

// reactivate takes a run over from an actor that is gone without handing it over.
func (r *row) reactivate(gone *activation) {
	if r.state == workflow.Running && r.active == gone {
		r.activate()
	}
}

func (r *row) activate() {
	r.epoch++
	state := newRunState(r.level)
	state.seq, state.position, state.stored = r.seq, r.at, r.at
	r.active = &activation{row: r, epoch: r.epoch, state: state}
	r.active.apply(began{})
}

func (a *activation) apply(e event) {
	if a.stopped {
		return
	}
	for _, effect := range a.state.apply(e) {
		a.perform(effect)
	}
}

func (a *activation) perform(e effect) {
	w := a.row.world
	switch e := e.(type) {
	case runStep:
		a.runStep(e)
	case armGrace:
		w.after(grace, func() { a.apply(graceOver{token: e.token}) })
	case armBackoff:
		w.after(e.delay+1, func() { a.apply(backoffOver{e.token}) })
	case commit:
		write := landing{run: a.row, epoch: a.epoch, seq: a.state.seq, commit: e}
		w.after(time.Second, func() { a.commit(write) })
	case abandon:
		w.fault("abandoned")
	case leave:
		a.stopped = true
		if e.state == workflow.Running {
			w.after(time.Second, func() { a.row.reactivate(a) })
		}
	}
}

// runStep runs a body that may fail, or take longer than it may.
func (a *activation) runStep(e runStep) {
	w, r := a.row.world, a.row
	if r.active == a && !r.cancelled && r.level == workflow.Checkpointed && e.position != r.at {
		w.failf("an attempt at %+v begins, and the row stands at %+v", e.position, r.at)
	}
	answer := stepReturned{token: e.token, done: e.step != 1 || e.turn >= 2}
	most := 10 * time.Second
	switch what := w.random.IntN(100); {
	case w.healed:
	case what < 5:
		answer.err = errors.New("no")
	case what < 10:
		answer.err = workflow.Snooze(time.Duration(w.random.IntN(10)) * time.Second)
	case what < 15:
		most = 2 * time.Minute
	}
	if r.level == workflow.Checkpointed || w.healed {
		most = min(most, 5*time.Second)
	}
	w.after(30*time.Second, func() {
		if w.chance(5) {
			a.apply(stepExpired{e.token})
		}
	})
	w.after(most, func() { a.apply(answer) })
}

// landing is a write on its way.
type landing struct {
	run        *row
	epoch, seq int64
	commit     commit
}

// commit brings a write to its row, as journal and store do: it may be tried
// again before it landed, or after, and its answer may be lost.
func (a *activation) commit(l landing) {
	w := l.run.world
	again := func() { w.after(time.Second, func() { a.commit(l) }) }
	switch {
	case w.chance(10): // it failed before it was applied
		w.fault("repeated")
		again()
		return
	case w.chance(5): // nobody will ever know
		w.fault("unknown")
		if w.chance(50) {
			_ = l.land()
		}
		a.apply(refused{workflow.ErrOutcomeUnknown})
		return
	}
	err := l.land()
	if w.chance(10) { // it was applied, and the answer is lost
		w.fault("repeated")
		again()
		return
	}
	if err != nil {
		w.fault("fenced")
		a.apply(refused{err})
		return
	}
	a.apply(committed{})
}

// land applies a write if its fence holds, or recognises it.
func (l *landing) land() error {
	r := l.run
	if epoch, there := r.landings[l.seq+1]; there {
		if epoch == l.epoch {
			return nil
		}
		return persistence.ErrFenced
	}
	if r.state != workflow.Running || r.epoch != l.epoch || r.seq != l.seq {
		return persistence.ErrFenced
	}
	r.seq++
	r.landings[r.seq] = l.epoch
	if r.level == workflow.Checkpointed && l.commit.entry == checkpoint && l.commit.ran != r.at {
		r.world.failf("the checkpoint of %+v landed on a row at %+v", l.commit.ran, r.at)
	}
	r.at, r.state = l.commit.next, l.commit.state
	if r.state == workflow.Available || r.state == workflow.Retryable {
		r.epoch++
		r.world.after(time.Minute, r.claim)
	}
	return nil
}
