package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// What each of the nodes of a load does: calls of so many kinds, of each so many
// between two messages, and of these one in so many fails.
const (
	loadNodes    = 100
	loadCells    = 20
	callsOfCell  = 5
	failsOneIn   = 10
	reportsEvery = 30 * time.Second
	readsEvery   = 10 * time.Second
)

// loadNode makes the calls of a node up, and tells of them as a node does.
type loadNode struct {
	id      string
	made    int // calls
	records []centralcloud.Record
	sent    centralcloud.Revisions
}

func newLoadNode(i int) *loadNode {
	return &loadNode{id: fmt.Sprintf("node_%d", i), sent: centralcloud.Revisions{}}
}

func (n *loadNode) instance() centralcloud.Instance {
	return centralcloud.Instance{ID: n.id, Boot: n.id + "-boot", Version: "load", Timestamp: time.Now().UTC()}
}

// call makes the calls since the last message.
func (n *loadNode) call(now time.Time) error {
	const calls = loadCells * callsOfCell
	for i := range calls {
		class := ""
		if n.made%failsOneIn == 0 {
			class = "overload"
		}
		model := models.Models[i%len(models.Models)]
		document, err := json.Marshal(map[string]any{
			"workflow": "llm_request", "step": "call_llm_provider", "attempt": 1, "provider": model.Provider, "model": model.Name,
			"task_type": fmt.Sprintf("task %d", i%loadCells/len(models.Models)), "complexity_bucket": 1,
			"tokens_in": 700 + n.made%300, "tokens_out": 200 + n.made%100, "cost_nanodollars": 900_000, "latency_us": 800_000 + 1000*(n.made%900),
			"error_class": class, "policy_version": "1", "propensity": 0.25, "input_digest": fmt.Sprint(n.made), "answer_digest": fmt.Sprint(n.made),
		})
		if err != nil {
			return err
		}
		n.records = append(n.records, centralcloud.Record{
			ID: fmt.Sprintf("%s/1/0", workflow.NewRunID()), At: now.Add(-reportsEvery * time.Duration(calls-i) / calls), Doc: document,
		})
		n.made++
	}
	return nil
}

// tell is the messages about all that has changed in the last epochs.
func (n *loadNode) tell(now time.Time) ([]centralcloud.Draft, error) {
	if err := n.call(now); err != nil {
		return nil, err
	}
	n.records = slices.DeleteFunc(n.records, func(r centralcloud.Record) bool { return now.Sub(r.At) > 3*reportsEvery })
	tally := centralcloud.NewTally(n.id, n.id+"-boot")
	tally.Seal(centralcloud.Seal("of the load"))
	for _, record := range n.records {
		tally.Add(record)
	}
	rows, samples := tally.Changed(n.sent)
	n.sent.Sent(rows)
	n.sent.Forget(now.Add(-5 * reportsEvery))
	return centralcloud.EncodeUpdates(n.instance(), (&centralcloud.Jobs{}).Summary(reportsEvery), rows, samples, tally.Repeats(rows))
}

// hubQueues calls a function with the queues of a hub.
type hubQueues func(ctx context.Context, call func(centralcloud.Queue) error) error

// greet makes the queue of a node and says hello.
func (n *loadNode) greet(ctx context.Context, queues hubQueues) error {
	return queues(ctx, func(queue centralcloud.Queue) error {
		for _, name := range []string{centralcloud.UpQueue, centralcloud.DownQueue(n.id)} {
			if err := queue.CreateQueue(ctx, name); err != nil {
				return err
			}
		}
		hello, err := centralcloud.EncodeHello(n.instance(), nil)
		if err != nil {
			return err
		}
		_, err = queue.Send(ctx, centralcloud.UpQueue, hello)
		return err
	})
}

// report sends what the node has to tell.
func (n *loadNode) report(ctx context.Context, queues hubQueues) (bytes int, err error) {
	drafts, err := n.tell(time.Now())
	if err != nil {
		return 0, err
	}
	for _, draft := range drafts {
		bytes += len(draft.Body)
	}
	return bytes, queues(ctx, func(queue centralcloud.Queue) error {
		_, err := queue.SendBatch(ctx, centralcloud.UpQueue, drafts)
		return err
	})
}

// listen reads and forgets what the node is taught.
func (n *loadNode) listen(ctx context.Context, queues hubQueues) error {
	return queues(ctx, func(queue centralcloud.Queue) error {
		lessons, err := queue.Read(ctx, centralcloud.DownQueue(n.id), time.Minute, 10)
		if err != nil || len(lessons) == 0 {
			return err
		}
		ids := make([]int64, len(lessons))
		for i, lesson := range lessons {
			ids[i] = lesson.ID
		}
		_, err = queue.Delete(ctx, centralcloud.DownQueue(n.id), ids...)
		return err
	})
}
