package supervisor

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMachineTraces replays the scripts in testdata/machine. The first line of a
// script configures the machine, each of the others is an event, an arrow, and what
// the machine answers; -update rewrites the answers.
func TestMachineTraces(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/machine/*.trace")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".trace"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// player runs a script against a machine.
type player struct {
	t       *testing.T
	machine machine
	now     time.Time
}

// replay returns the script with the answers that the machine gives.
func replay(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	var p *player
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		event, _, _ := strings.Cut(line, "->")
		event = strings.TrimSpace(event)
		switch {
		case event == "" || strings.HasPrefix(event, "#"):
			fmt.Fprintln(&out, line)
		case p == nil:
			p = newPlayer(t, event)
			fmt.Fprintln(&out, event)
		default:
			answer := p.play(event)
			fmt.Fprintln(&out, strings.TrimSpace(fmt.Sprintf("%-14s -> %s", event, answer)))
		}
	}
	return out.String()
}

// newPlayer reads a line such as "one_for_all max=3 a b:transient", which means a
// permanent child a and a transient child b.
func newPlayer(t *testing.T, line string) *player {
	t.Helper()
	cfg := Config{}.withDefaults()
	var children []Child
	for word := range strings.FieldsSeq(line) {
		if strategy := slices.IndexFunc(strategies, func(s Strategy) bool { return s.String() == word }); strategy >= 0 {
			cfg.Strategy = strategies[strategy]
			continue
		}
		if _, err := fmt.Sscanf(word, "max=%d", &cfg.MaxRestarts); err == nil {
			continue
		}
		name, kind, _ := strings.Cut(word, ":")
		c := Child{Name: name}
		if kind != "" {
			i := slices.IndexFunc(restarts, func(r Restart) bool { return r.String() == kind })
			if i < 0 {
				t.Fatalf("unknown restart type %q", kind)
			}
			c.Restart = restarts[i]
		}
		children = append(children, c)
	}
	noJitter := func() float64 { return 0 }
	return &player{t: t, machine: newMachine(cfg, children, noJitter), now: time.Unix(0, 0)}
}

var (
	strategies = []Strategy{OneForOne, OneForAll, RestForOne}
	restarts   = []Restart{Permanent, Transient, Temporary}
	errBoom    = errors.New("boom")
)

// play feeds one event to the machine and returns its effects.
func (p *player) play(event string) string {
	p.t.Helper()
	m := &p.machine
	if d, err := time.ParseDuration(event); err == nil {
		p.now = p.now.Add(d)
		return p.format(m.settle(p.now))
	}
	name, verb, _ := strings.Cut(event, " ")
	i := slices.IndexFunc(m.slots, func(s slot) bool { return s.name == name })
	switch {
	case event == "start":
		return p.format(m.settle(p.now))
	case event == "stop":
		return p.format(m.stop(p.now))
	case i < 0:
		p.t.Fatalf("unknown event %q", event)
	case verb == "is up":
		return p.format(m.started(p.now, i))
	case verb == "panics":
		m.failed(p.now, i, errBoom)
		return p.format(nil)
	case verb == "ends":
		return p.format(m.exited(p.now, i))
	case verb == "will not spawn":
		return p.format(m.notSpawned(p.now, i, errBoom))
	default:
		p.t.Fatalf("unknown event %q", event)
	}
	return ""
}

// format prints the effects, carries out spawns, and prints the time of the alarm.
func (p *player) format(effects []effect) string {
	m := &p.machine
	var words []string
	for len(effects) > 0 {
		e := effects[0]
		effects = effects[1:]
		switch e.action {
		case doSpawn:
			words = append(words, "spawn "+m.slots[e.child].name)
			effects = append(effects, m.spawned(p.now, e.child, 5*time.Second)...)
		case doStop:
			words = append(words, "stop "+m.slots[e.child].name)
		case doAbandon:
			words = append(words, "abandon "+m.slots[e.child].name)
		case doReport:
			words = append(words, "all up")
		case doFinish:
			if m.verdict != nil {
				words = append(words, "fail: "+m.verdict.Error())
			} else {
				words = append(words, "end")
			}
		}
	}
	if at, ok := m.wakeAt(); ok {
		words = append(words, "wake in "+at.Sub(p.now).String())
	}
	return strings.Join(words, ", ")
}
