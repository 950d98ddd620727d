package proof

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"singularity/centralcloud"
)

// played are the servers of all providers, which answer by a table.
type played struct {
	table *table
	urls  map[string]string // by provider

	mu     sync.Mutex
	out    string           // the provider that is out
	worse  centralcloud.Arm // the model that lost half its good answers
	served accounts
}

func play(t *testing.T, table *table) *played {
	t.Helper()
	p := &played{table: table, urls: map[string]string{}, served: accounts{}}
	for provider, protocol := range protocols {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := p.serve(w, r, provider, protocol); err != nil {
				t.Errorf("%s was asked %s: %v", provider, r.URL.Path, err)
				w.WriteHeader(http.StatusBadRequest)
			}
		}))
		t.Cleanup(server.Close)
		p.urls[provider] = server.URL
	}
	return p
}

// serve answers one call, and takes it into account before it does.
func (p *played) serve(w http.ResponseWriter, r *http.Request, provider string, protocol protocol) error {
	model, text, err := protocol.asked(r)
	if err != nil {
		return err
	}
	var request int
	if _, err := fmt.Sscanf(text, question, &request); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	at := cell{taskOf(request), centralcloud.Arm{Provider: provider, Model: model}}
	if _, known := p.table.traits[at]; !known {
		return fmt.Errorf("there is no model %s", model)
	}
	given, refused := p.take(request, at)
	if refused {
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	}
	thought := time.NewTimer(time.Duration(given.latency * float64(time.Millisecond)))
	defer thought.Stop()
	select {
	case <-thought.C:
	case <-r.Context().Done():
		return r.Context().Err()
	}
	stream := protocol.refuses
	if given.good {
		stream = protocol.answers
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, err = io.WriteString(w, stream(model, given.usage))
	return err
}

// question is what a request says.
const question = "Request %d: what of it?"

func (p *played) take(request int, at cell) (given answer, refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.arm.Provider == p.out {
		p.served.refuse(at)
		return answer{}, true
	}
	success := p.table.traits[at].success
	if at.arm == p.worse {
		success /= 2
	}
	given = p.table.answer(request, at, success)
	p.served.add(at, given)
	return given, false
}

// fail has a provider turn all calls away, or none for an empty one.
func (p *played) fail(provider string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = provider
}

// worsen has a model lose half of its good answers.
func (p *played) worsen(arm centralcloud.Arm) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.worse = arm
}

// account is what was served so far.
func (p *played) account() accounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.served)
}
