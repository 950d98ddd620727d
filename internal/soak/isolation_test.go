package soak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"singularity/persistence"
)

// isolation cuts a node from Postgres, and maybe from more.
type isolation struct {
	name   string
	faults func(n network, alone *site, all []*site) []fault
}

var (
	fromPostgres = isolation{"from Postgres", func(n network, alone *site, _ []*site) []fault {
		return between(alone, n.postgres(), everything)
	}}
	fromAll = isolation{"from all", func(n network, alone *site, all []*site) []fault {
		faults := between(alone, n.postgres(), everything)
		for _, other := range all {
			if other != alone {
				faults = append(faults, between(alone, other, everything)...)
			}
		}
		return faults
	}}
	outward = isolation{"from Postgres outward", func(n network, alone *site, _ []*site) []fault {
		return []fault{{alone, n.postgres(), everything}}
	}}
	inward = isolation{"from Postgres inward", func(n network, alone *site, _ []*site) []fault {
		return []fault{{n.postgres(), alone, everything}}
	}}
)

const (
	// beginUntil is how long after its last renewal a node may begin steps, and a
	// little for the steps that it was about to begin: on a machine that is busy
	// with more, as much as is left of the lease.
	beginUntil      = 2500*time.Millisecond + 300*time.Millisecond
	beginUntilShort = persistence.LeaseTerm
	// isolationBound is how long it may take until the runs of a node that was cut
	// off go on.
	isolationBound = 6 * time.Second
)

// TestNodesCutFromPostgresFenceThemselves cuts nodes off that have a step in
// flight, until others have taken their runs over.
func TestNodesCutFromPostgresFenceThemselves(t *testing.T) {
	t.Parallel()
	isolations := []isolation{fromPostgres, fromAll}
	if *full {
		isolations = append(isolations, outward, inward)
	}
	const judges = 2
	c := newClusterIn(t, "nodes cut from Postgres", *networkKind)
	sites := c.launchSites(judges + len(isolations))
	c.awaitJudges(nil, len(sites))
	c.begin()
	load := c.startLoad(usualLoad())
	var dead []string
	for range often(1, 5) {
		dead = append(dead, c.isolate(isolations, sites)...)
		c.awaitJudges(nil, len(sites))
	}
	load.stop()
	c.awaitEnds()
	for _, s := range sites {
		refused, err := s.node.fenced(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.verdict.Counts["refused_writes"] += refused
	}
	c.settle()
	c.expectDeaths(dead)
	c.conclude()
}

// isolate cuts the last sites off, each in a way of its own, and mends that
// when their runs have gone on elsewhere. It returns the boots that are dead.
func (c *cluster) isolate(isolations []isolation, sites []*site) (dead []string) {
	c.t.Helper()
	var alone []*hermit
	for i, way := range isolations {
		alone = append(alone, c.newHermit(way, sites[len(sites)-1-i]))
	}
	for _, h := range alone {
		h.step.await(c.t, fmt.Sprintf("a step of node %d", h.site.node.pid()), 1)
	}
	var faults []fault
	for _, h := range alone {
		faults = append(faults, h.way.faults(c.network, h.site, sites)...)
	}
	lost, began := c.network.lost(), time.Now()
	c.network.suffer(faults...)
	c.verdict.Faults += len(alone)
	for _, h := range alone {
		h.began, h.cut = began, time.Now()
	}
	c.awaitFences(alone)
	for _, h := range alone {
		h.expectUnready()
	}
	for _, h := range alone {
		h.awaitTakeover()
	}
	for _, h := range alone {
		h.step.release() // what it did is to be stored, too late
	}
	c.awaitLosses(lost, "in cuts")
	c.mend()
	for _, h := range alone {
		h.awaitReturn()
	}
	c.awaitWhole(sites)
	for _, h := range alone {
		h.expectNothingBegun()
		dead = append(dead, h.boot)
	}
	return dead
}

// hermit is a node that is cut off.
type hermit struct {
	cluster *cluster
	way     isolation
	site    *site
	boot    string
	step    *hold
	began   time.Time // to be cut off
	cut     time.Time // by now for sure
	fenced  time.Time
}

func (c *cluster) newHermit(way isolation, s *site) *hermit {
	c.t.Helper()
	step := c.ledger.holdBack(func(e Effect) bool { return e.PID == s.node.pid() })
	return &hermit{cluster: c, way: way, site: s, boot: c.boot(s.node), step: step}
}

const leaseLeft = `
SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM singularity.node_leases WHERE boot = $1`

// awaitFences waits until none of some nodes begins anything more, which comes
// before the ends of their leases.
func (c *cluster) awaitFences(alone []*hermit) {
	c.t.Helper()
	left := slices.Clone(alone)
	await(c.t, func(ctx context.Context) (missing string, err error) {
		left = slices.DeleteFunc(left, func(h *hermit) bool {
			left := h.leaseLeft()
			valid, metricErr := h.site.node.metric(ctx, "singularity_lease_valid")
			err = errors.Join(err, metricErr)
			switch {
			case metricErr == nil && valid == 0:
				h.fenced = time.Now()
				c.note(key("cut %s to fenced", h.way.name), h.fenced.Sub(h.began))
				return true
			case metricErr == nil && left <= 0:
				c.brokenly("node cut %s holds its lease to be valid %.2fs after its end", h.way.name, -left)
			}
			missing = fmt.Sprintf("node %d, cut %s, holds its lease to be valid", h.site.node.pid(), h.way.name)
			return false
		})
		return missing, err
	})
}

// leaseLeft is how many seconds are left of the node's lease, on the database's
// clock.
func (h *hermit) leaseLeft() float64 {
	c := h.cluster
	c.t.Helper()
	left, err := one[float64](c.t.Context(), c.audit, leaseLeft, h.boot)
	if err != nil {
		c.t.Fatal(err)
	}
	return left
}

// expectUnready asks what a load balancer would.
func (h *hermit) expectUnready() {
	c := h.cluster
	c.t.Helper()
	ctx, cancel := bounded(c.t)
	defer cancel()
	refusal, err := h.site.node.get(ctx, "/readyz")
	if err != nil {
		c.t.Fatal(err)
	}
	if refusal == "" {
		c.brokenly("the node cut %s says that it takes work", h.way.name)
	}
}

// awaitTakeover waits until a run of the node has gone on elsewhere.
func (h *hermit) awaitTakeover() {
	c := h.cluster
	c.t.Helper()
	next, missing := c.awaitNextCheckpoint(h.step, h.boot, inFull(takeoverBound))
	if missing != "" {
		c.brokenly("%s after node %d was cut %s: %s", inFull(takeoverBound), h.site.node.pid(), h.way.name, missing)
		return
	}
	took := next.Sub(h.began)
	c.note(key("cut %s to next checkpoint", h.way.name), took)
	if took > inFull(isolationBound) {
		c.brokenly("the runs of the node cut %s went on after %s", h.way.name, took)
	}
}

const endOf = `SELECT ended_at, ended_by FROM singularity.node_leases WHERE boot = $1`

// awaitReturn waits until the node takes work as another boot.
func (h *hermit) awaitReturn() {
	c := h.cluster
	c.t.Helper()
	mended := time.Now()
	c.awaitNewBoot(h.site.node, h.boot)
	h.site.node.awaitReady()
	c.note(key("cut %s mended to ready", h.way.name), time.Since(mended))
	var declared time.Time
	var ground string
	if err := c.audit.pool.QueryRow(c.t.Context(), endOf, h.boot).Scan(&declared, &ground); err != nil {
		c.t.Fatal(err)
	}
	c.note(key("cut %s fenced to declared dead", h.way.name), declared.Sub(h.fenced))
	c.verdict.Counts[key("cut %s %s", h.way.name, ground)]++
}

// epochsOfBoot are the runs that a boot has had, and in which epochs.
const epochsOfBoot = `SELECT run::text || ' ' || epoch FROM soak.changes WHERE owner = $1`

// expectNothingBegun looks for steps that the boot began when its lease could
// be over.
func (h *hermit) expectNothingBegun() {
	c := h.cluster
	c.t.Helper()
	had, err := list[string](c.t.Context(), c.audit, epochsOfBoot, h.boot)
	if err != nil {
		c.t.Fatal(err)
	}
	its := map[string]bool{}
	for _, runInEpoch := range had {
		its[runInEpoch] = true
	}
	until, late, before := beginUntilShort, 0, 0
	if *full {
		until = beginUntil
	}
	for _, effect := range c.ledger.all() {
		switch {
		case effect.PID != h.site.node.pid() || !its[fmt.Sprint(effect.Run, " ", effect.Epoch)]:
		case effect.At.After(h.cut.Add(until)):
			late++
		default:
			before++
		}
	}
	if late > 0 {
		c.brokenly("the node cut %s began %d steps later than %s after it", h.way.name, late, until)
	}
	if before == 0 {
		c.invalidly("the node cut %s had no step", h.way.name)
	}
}
