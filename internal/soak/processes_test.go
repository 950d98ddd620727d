package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"singularity/internal/faultnet"
)

// processes is a network without rights: the nodes lose by themselves what they
// exchange, and proxies hold up what goes to Postgres and back. Of that, a loss
// that is no cut loses nothing.
type processes struct {
	t       testing.TB
	server  *site
	proxies map[*site]*proxy
}

func newProcesses(t testing.TB) *processes {
	return &processes{t: t, server: &site{address: loopback}, proxies: map[*site]*proxy{}}
}

func (p *processes) kind() string    { return byProcesses }
func (p *processes) host() string    { return loopback }
func (p *processes) postgres() *site { return p.server }

func (p *processes) join(postgres string) *site {
	p.t.Helper()
	way := newProxy(p.t, postgres)
	s := &site{address: loopback, postgres: way.address(), hooks: []string{breakableNetwork}}
	p.proxies[s] = way
	return s
}

func (p *processes) suffer(faults ...fault) {
	p.t.Helper()
	losses := p.losses(faults) // which needs Postgres for the addresses
	for s, way := range p.proxies {
		way.requests.set(!cuts(faults, s, p.server))
		way.answers.set(!cuts(faults, p.server, s))
		p.ask(s, http.MethodPost, losses[s])
	}
}

// losses are what the nodes lose because of faults, by their peers' addresses.
func (p *processes) losses(faults []fault) map[*site]map[string]faultnet.Loss {
	p.t.Helper()
	losses := map[*site]map[string]faultnet.Loss{}
	for s := range p.proxies {
		losses[s] = map[string]faultnet.Loss{}
	}
	for _, f := range faults {
		if f.from == p.server || f.to == p.server {
			continue
		}
		for _, address := range p.addresses(f.to) {
			l := losses[f.from][address]
			l.Out = f.percent
			losses[f.from][address] = l
		}
		for _, address := range p.addresses(f.from) {
			l := losses[f.to][address]
			l.In = f.percent
			losses[f.to][address] = l
		}
	}
	return losses
}

// cuts reports whether nothing gets from one site to another.
func cuts(faults []fault, from, to *site) bool {
	return slices.Contains(faults, fault{from, to, everything})
}

// addresses are those at which others reach a node. They outlast its boots.
func (p *processes) addresses(s *site) []string {
	p.t.Helper()
	if len(s.reached) > 0 {
		return s.reached
	}
	ctx, cancel := bounded(p.t)
	defer cancel()
	members, err := s.node.members(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, member := range members {
		if int(member.GetPid()) == s.node.pid() {
			s.reached = []string{member.GetGossipAddress(), member.GetActorsAddress()}
		}
	}
	if len(s.reached) == 0 {
		p.t.Fatalf("node %d is not registered", s.node.pid())
	}
	return s.reached
}

func (p *processes) lost() int {
	p.t.Helper()
	lost := 0
	for s, way := range p.proxies {
		lost += way.requests.count() + way.answers.count() + p.ask(s, http.MethodGet, nil)
	}
	return lost
}

// ask has a node change its network, or only tell how much it has lost there.
func (p *processes) ask(s *site, method string, losses map[string]faultnet.Loss) (lost int) {
	p.t.Helper()
	body, err := json.Marshal(losses)
	if err != nil {
		p.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(p.t.Context(), method, s.node.url+"/network", bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		defer response.Body.Close()
		err = json.NewDecoder(response.Body).Decode(&lost)
	}
	if err != nil {
		p.t.Fatal(fmt.Errorf("%s the network of node %d: %w", method, s.node.pid(), err))
	}
	return lost
}
