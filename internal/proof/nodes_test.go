package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"singularity"
	"singularity/centralcloud"
	"singularity/centralcloud/pgmq"
	"singularity/llm"
	"singularity/llm/anthropic"
	"singularity/llm/gemini"
	"singularity/llm/openai"
	"singularity/llm/wire"
	"singularity/workflow"
	"singularity/workflows"
)

// nodeTask is what a node has to know.
type nodeTask struct {
	Name         string
	Database     string
	HubDatabase  string
	Servers      map[string]string // by provider
	ResultsEvery time.Duration

	// Requests are those that a process which is a node makes.
	First, Requests int
}

// node is an engine that asks models.
type node struct {
	engine  *singularity.Engine
	queue   *pgmq.Store
	ask     *workflow.Workflow[workflows.Request, workflows.Response]
	metrics *prometheus.Registry // of the router
}

func openNode(ctx context.Context, task nodeTask) (*node, error) {
	providers, err := providersAt(task.Servers)
	if err != nil {
		return nil, err
	}
	var engine atomic.Pointer[singularity.Engine] // which there is only after its workflows
	router, err := llm.NewRouter(models, providers, llm.RouterConfig{
		Logger: slog.New(slog.DiscardHandler),
		Policy: func() *centralcloud.Policy {
			if opened := engine.Load(); opened != nil {
				return opened.Policy()
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	queue, err := pgmq.Connect(ctx, pgmq.Config{URL: task.HubDatabase})
	if err != nil {
		return nil, err
	}
	n := &node{queue: queue, ask: workflows.LLMRequest(router), metrics: prometheus.NewRegistry()}
	n.metrics.MustRegister(router.Metrics())
	n.engine, err = singularity.Open(ctx, singularity.Config{
		DatabaseURL: task.Database, Instance: task.Name, Logger: slog.New(slog.DiscardHandler),
		CentralCloud: singularity.CentralCloud{Queue: queue, ResultsEvery: task.ResultsEvery, LearningsEvery: learnEvery},
	}, n.ask)
	if err != nil {
		return nil, errors.Join(err, queue.Close())
	}
	engine.Store(n.engine)
	return n, nil
}

func providersAt(servers map[string]string) ([]llm.Provider, error) {
	chat, err := openai.New(servers[openai.Name]+"/v1", "", wire.Config{})
	if err != nil {
		return nil, err
	}
	messages, err := anthropic.New(servers[anthropic.Name], "", wire.Config{})
	if err != nil {
		return nil, err
	}
	contents, err := gemini.New(servers[gemini.Name], "", wire.Config{})
	return []llm.Provider{chat, messages, contents}, err
}

func (n *node) close(ctx context.Context) error {
	return errors.Join(n.engine.Close(ctx), n.queue.Close())
}

// version is that of the policy which the node follows; 0 for none.
func (n *node) version() int64 {
	if policy := n.engine.Policy(); policy != nil {
		return policy.Version
	}
	return 0
}

// choices counts those that were made by the policy, or on other grounds.
func (n *node) choices(t *testing.T) (byPolicy, otherwise float64) {
	t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "singularity_model_choices_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				switch label.GetValue() {
				case "policy":
					byPolicy += metric.GetCounter().GetValue()
				case "static":
					otherwise += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return byPolicy, otherwise
}

// request makes one request, and returns an error unless it got an answer, a good
// one or not.
func (n *node) request(ctx context.Context, request int) error {
	run, err := n.ask.Start(ctx, n.engine, workflows.Request{
		RequestID: fmt.Sprintf("request-%d", request), TaskType: taskOf(request),
		Messages: []llm.Message{{Role: llm.User, Content: fmt.Sprintf(question, request)}},
	})
	if err != nil {
		return err
	}
	_, err = run.Wait(ctx)
	var failed *workflow.RunError
	if errors.As(err, &failed) && strings.Contains(failed.Reason, ": content") {
		return nil // what the servers served says how it fared
	}
	return err
}

// spread makes requests from a number on, by all nodes at once.
func spread(ctx context.Context, nodes []*node, first, requests int) error {
	errs := make([]error, requests)
	var asking sync.WaitGroup
	for i := range requests {
		asking.Go(func() { errs[i] = nodes[i%len(nodes)].request(ctx, first+i) })
	}
	asking.Wait()
	return errors.Join(errs...)
}

// flush has an actor of the node send or read now: sync tells the hub what the
// node knows, learnings reads what the hub has taught.
func (n *node) flush(t *testing.T, actor string) {
	t.Helper()
	if _, err := n.engine.Send(t.Context(), actor, "flush", nil); err != nil {
		t.Fatal(err)
	}
}

// runVictim is a node that makes some requests, says so, and waits to be killed.
func runVictim(told string) error {
	var task nodeTask
	if err := json.Unmarshal([]byte(told), &task); err != nil {
		return err
	}
	victim, err := openNode(context.Background(), task)
	if err != nil {
		return err
	}
	for i := range task.Requests { // one by one, so that no other node takes them
		if err := victim.request(context.Background(), task.First+i); err != nil {
			return err
		}
	}
	fmt.Println(answered)
	<-victim.engine.Done()
	return victim.engine.Err()
}

// answered is what a victim says when all its requests are.
const answered = "answered"
