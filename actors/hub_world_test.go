package actors

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hubtest"
	"singularity/persistence"
	"singularity/workflow"
)

// hub is the queues of a hub, which a test has in its hands.
type hub struct {
	centralcloud.Queue // of which only what is below is asked for

	mu     sync.Mutex
	queues map[string][]*centralcloud.Message
	last   int64 // id
	tries  int
	down   bool
	fading bool // answers get lost

	present func(context.Context) (bool, error) // nil for one that is always there
}

var errHubDown = errors.New("no connection to the hub's database")

// lookedFor is a hub that nodes look for. Until it is there, it bears no call.
type lookedFor struct {
	*hub
	there bool
	fails bool // to say whether it is there
	looks int
}

func newLookedFor() *lookedFor {
	h := &lookedFor{hub: newHub()}
	h.down = true
	h.present = func(context.Context) (found bool, err error) {
		h.set(func() {
			h.looks++
			if found = h.there; h.fails {
				err = errHubDown
			}
		})
		return found, err
	}
	return h
}

// appear lets the hub be there.
func (h *lookedFor) appear() { h.set(func() { h.there, h.down = true, false }) }

// looked is how often somebody looked.
func (h *lookedFor) looked() (times int) {
	h.set(func() { times = h.looks })
	return times
}

func newHub() *hub { return &hub{queues: map[string][]*centralcloud.Message{}} }

// set changes what a test has in its hands.
func (h *hub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// tried is how many calls there were, those that failed too.
func (h *hub) tried() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tries
}

// enter locks the hub for a call to a queue.
func (h *hub) enter(queue string, made bool) error {
	h.mu.Lock()
	h.tries++
	_, there := h.queues[queue]
	switch {
	case h.down:
		h.mu.Unlock()
		return errHubDown
	case made && !there:
		h.mu.Unlock()
		return centralcloud.ErrNoQueue
	}
	return nil
}

func (h *hub) CreateQueue(_ context.Context, queue string) error {
	if err := h.enter(queue, false); err != nil {
		return err
	}
	defer h.mu.Unlock()
	if h.queues[queue] == nil {
		h.queues[queue] = []*centralcloud.Message{}
	}
	return nil
}

func (h *hub) SendBatch(_ context.Context, queue string, drafts []centralcloud.Draft) (ids []int64, err error) {
	if err := h.enter(queue, true); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	for _, draft := range drafts {
		if err := draft.Check(); err != nil {
			return nil, err
		}
		h.add(queue, draft.Body, draft.Headers)
		ids = append(ids, h.last)
	}
	if h.fading {
		return nil, errHubDown
	}
	return ids, nil
}

func (h *hub) add(queue string, body, headers json.RawMessage) {
	h.last++
	h.queues[queue] = append(h.queues[queue], &centralcloud.Message{ID: h.last, EnqueuedAt: time.Now(), VisibleAt: time.Now(), Body: body, Headers: headers})
}

func (h *hub) Read(_ context.Context, queue string, lease time.Duration, limit int) ([]centralcloud.Message, error) {
	if err := h.enter(queue, true); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	var read []centralcloud.Message
	for _, message := range h.queues[queue] {
		if len(read) < limit && !message.VisibleAt.After(time.Now()) {
			message.Reads++
			message.VisibleAt = time.Now().Add(lease)
			read = append(read, *message)
		}
	}
	return read, nil
}

func (h *hub) SetVT(_ context.Context, queue string, id int64, after time.Duration) (bool, error) {
	if err := h.enter(queue, true); err != nil {
		return false, err
	}
	defer h.mu.Unlock()
	for _, message := range h.queues[queue] {
		if message.ID == id {
			message.VisibleAt = time.Now().Add(after)
			return true, nil
		}
	}
	return false, nil
}

func (h *hub) Delete(_ context.Context, queue string, ids ...int64) ([]int64, error) {
	if err := h.enter(queue, true); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	h.remove(queue, ids...)
	return ids, nil
}

func (h *hub) remove(queue string, ids ...int64) {
	h.queues[queue] = slices.DeleteFunc(h.queues[queue], func(m *centralcloud.Message) bool { return slices.Contains(ids, m.ID) })
}

func (h *hub) Move(_ context.Context, queue string, message centralcloud.Message, to string, headers json.RawMessage) (bool, error) {
	if err := h.enter(to, true); err != nil {
		return false, err
	}
	defer h.mu.Unlock()
	h.remove(queue, message.ID)
	h.add(to, message.Body, headers)
	return true, nil
}

// teach puts a message into the queue of a node.
func (h *hub) teach(label, body string) {
	h.set(func() { h.add(centralcloud.DownQueue(label), json.RawMessage(body), nil) })
}

// messages are those that are in a queue.
func (h *hub) messages(queue string) (list []centralcloud.Message) {
	h.set(func() {
		for _, message := range h.queues[queue] {
			list = append(list, *message)
		}
	})
	return list
}

// received decodes what nodes have sent of one type.
func received[T any](t testing.TB, h *hub, kind string) (list []T) {
	t.Helper()
	for _, message := range h.messages(centralcloud.UpQueue) {
		var what struct {
			Type string `json:"type"`
		}
		decodeInto(t, message.Body, &what)
		if what.Type == kind {
			var found T
			decodeInto(t, message.Body, &found)
			list = append(list, found)
		}
	}
	return list
}

func (h *hub) updates(t testing.TB) []centralcloud.Update {
	t.Helper()
	return received[centralcloud.Update](t, h, centralcloud.TypeResults)
}

func (h *hub) hellos(t testing.TB) []centralcloud.Hello {
	t.Helper()
	return received[centralcloud.Hello](t, h, centralcloud.TypeHello)
}

func decodeInto(t testing.TB, document []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(document, into); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
}

// counted is what the hub makes of all rows: some of them come twice, and none in
// its order.
func (h *hub) counted(t testing.TB) map[centralcloud.Key]centralcloud.Row {
	t.Helper()
	var rows []centralcloud.Row
	for _, update := range h.updates(t) {
		rows = append(rows, update.Counters...)
	}
	rows = append(rows, rows[:len(rows)/2]...)
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return hubtest.Kept(rows)
}

// sums adds up all rows, and counts them by boot.
func sums(rows map[centralcloud.Key]centralcloud.Row) (sum centralcloud.Counters, records int64, byBoot map[string]int64) {
	byBoot = map[string]int64{}
	for _, row := range rows {
		sum.Merge(row.Counters)
		records += row.Revision
		byBoot[row.Boot] += row.Revision
	}
	return sum, records, byBoot
}

// wantCounted checks that the hub has each record in the store once.
func (h *hub) wantCounted(t testing.TB, node *Node) centralcloud.Counters {
	t.Helper()
	stored, failed := int64(0), int64(0)
	page, err := node.Runs(t.Context(), workflow.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range page.Runs {
		steps, err := node.Steps(t.Context(), run.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			for _, fact := range step.Facts {
				call, err := centralcloud.DecodeCall(fact.Doc)
				if err != nil {
					t.Fatal(err)
				}
				stored++
				if call.ErrorClass != "" {
					failed++
				}
			}
		}
	}
	sum, records, _ := sums(h.counted(t))
	if records != stored || sum.Calls != stored-failed || sum.Unavailable() != failed {
		t.Errorf("the hub has %d records, %d answers and %d failures; the store has %d records, %d of them failures",
			records, sum.Calls, sum.Unavailable(), stored, failed)
	}
	return sum
}

// call is what a step records that asks a model.
func call(model, errorClass string) map[string]any {
	return map[string]any{
		"provider": "p", "model": model, "task_type": "chat", "complexity_bucket": 1, "attempt": 1,
		"tokens_in": 10, "tokens_out": 5, "cost_nanodollars": 1000, "latency_us": 2500, "error_class": errorClass,
		"policy_version": "", "propensity": 1, "input_digest": "0011223344556677", "answer_digest": "8899aabbccddeeff",
	}
}

// asking is a step that takes a while and asks a model, at first in vain so many
// times.
func asking(name string, takes time.Duration, inVain int) workflow.Step[count] {
	return workflow.Do(name, func(ctx context.Context, s *count) error {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return ctx.Err()
		}
		record := func(errorClass string) {
			doc := call("small", errorClass)
			doc["step"] = name
			workflow.Record(ctx, persistence.CountedKind, doc)
		}
		if workflow.FromContext(ctx).Number <= inVain {
			record("overload")
			return errors.New("overloaded")
		}
		record("")
		cents := 0.25
		workflow.Summarize(ctx, workflow.Summary{Model: "small", Tokens: 15, CostCents: &cents, Patterns: []string{"greeting"}})
		s.N++
		return nil
	})
}

// hubNode runs a node that has a hub.
func hubNode(t testing.TB, store persistence.Store, h *hub, definitions ...workflow.Definition) *Node {
	t.Helper()
	return startNode(t, store, Config{Instance: "a", CentralCloud: CentralCloud{Queue: h}}, definitions...)
}

// startHubCluster starts nodes that share a database and have a hub.
func startHubCluster(t testing.TB, size int, h *hub, definitions ...workflow.Definition) *cluster {
	t.Helper()
	c := &cluster{TB: t, database: newDatabase(), hub: h}
	for range size {
		c.add(nil, definitions...)
	}
	return c.ripen()
}
