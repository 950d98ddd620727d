// Package server puts an engine behind HTTP: the services of package messages,
// spoken as Connect, gRPC, gRPC-Web or plain JSON, health endpoints, and metrics
// for Prometheus.
//
// [Handler] is an http.Handler for any mux. Unless it is given [Config.Tokens],
// it trusts whoever reaches it, so it answers only requests that name a known
// host and that no foreign web page sent: a browser on the same machine must not
// become a way in. [Listen] keeps it on loopback, [ListenTLS] lets others reach
// it, who then need tokens. [Serve] keeps slow and oversized requests off.
package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/server/tokens"
	"singularity/workflow"
)

// Engine is what the API shows of an engine. *singularity.Engine is one.
type Engine interface {
	workflow.Engine
	workflow.BulkEngine
	// Run reads one run with its documents.
	Run(ctx context.Context, id workflow.RunID) (workflow.Run, error)
	// Runs lists a page of runs without their documents, newest first.
	Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error)
	// Steps reads the history of a run.
	Steps(ctx context.Context, id workflow.RunID) ([]workflow.StepRun, error)
	// Cancel ends a run that has not ended.
	Cancel(ctx context.Context, id workflow.RunID, reason string) (workflow.Run, error)
	// Retry takes up a run again that stands still.
	Retry(ctx context.Context, id workflow.RunID) (workflow.Run, error)
	// Score says how good an answer was that a run got from a model.
	Score(ctx context.Context, id workflow.RunID, score workflow.Score) (workflow.Scored, error)
	// CancelRuns ends the runs of a page of a filter.
	CancelRuns(ctx context.Context, filter workflow.Filter, reason string) (workflow.Changes, error)
	// RetryRuns takes up the runs of a page of a filter again.
	RetryRuns(ctx context.Context, filter workflow.Filter) (workflow.Changes, error)
	// Batch reads how a batch stands.
	Batch(ctx context.Context, id string) (workflow.BatchStatus, error)
	// CloseBatch says that no more runs come to a batch.
	CloseBatch(ctx context.Context, id string) (batch workflow.BatchStatus, changed bool, err error)
	// Watch tells what happens to a run. The channel is closed after RunEnded,
	// which comes at once for a run that has ended, or when ctx or the engine
	// ends. Slow readers lose events, but never RunEnded.
	Watch(ctx context.Context, id workflow.RunID) (<-chan workflow.Event, error)
	// Workflows lists the newest version of each workflow by name.
	Workflows() []*workflow.Program
	// Send gives a message to an actor and waits for its reply until ctx ends.
	Send(ctx context.Context, pid, messageType string, payload json.RawMessage) (json.RawMessage, error)
	// Agents lists all agents by name.
	Agents(ctx context.Context) ([]workflow.Agent, error)
	// AttachAgent makes the caller the agent of that name until ctx ends, or
	// until another caller attaches: then the channel is closed.
	AttachAgent(ctx context.Context, name string) (<-chan workflow.Delivery, error)
	// AcknowledgeMessage marks a delivered message as done.
	AcknowledgeMessage(ctx context.Context, agent, messageID string) error
	// Schedules lists all schedules by name, each with so many of its next slots.
	Schedules(ctx context.Context, next int) ([]workflow.Schedule, error)
	// CreateSchedule adds a schedule, unless there is another one of the name.
	CreateSchedule(ctx context.Context, spec workflow.ScheduleSpec) (workflow.Schedule, error)
	// DeleteSchedule ends a schedule.
	DeleteSchedule(ctx context.Context, name string) error
	// PauseSchedule keeps a schedule from firing, or lets it go on.
	PauseSchedule(ctx context.Context, name string, paused bool) (workflow.Schedule, error)
	// TriggerSchedule starts a run of a schedule now.
	TriggerSchedule(ctx context.Context, name string, id workflow.RunID) (workflow.Pending, error)
	// ActorTree reads the tree of supervisors and actors of a node, by its label,
	// its boot or the address of its actors; empty is the engine's own.
	ActorTree(ctx context.Context, node string) (*messages.Actor, error)
	// Drain makes a node drain and end. It returns the node's label when that has
	// begun.
	Drain(ctx context.Context, node string) (instance string, err error)
	// Keys asks all living nodes which keys encrypt their gossip.
	Keys(ctx context.Context) ([]*messages.NodeKeys, error)
	// AddKey makes them understand a key, in base64. A node that did not has an
	// error in its place.
	AddKey(ctx context.Context, key string) ([]*messages.NodeKeys, error)
	// UseKey makes them encrypt with the key that has a fingerprint.
	UseKey(ctx context.Context, fingerprint string) ([]*messages.NodeKeys, error)
	// RemoveKey makes them forget it.
	RemoveKey(ctx context.Context, fingerprint string) ([]*messages.NodeKeys, error)
	// Members reads the registry of nodes, the latest heartbeat first.
	Members(ctx context.Context) ([]*messages.Member, error)
	// Takeovers lists the processes that were declared dead, the latest first. A
	// limit that is not positive is the usual one.
	Takeovers(ctx context.Context, limit int) ([]*messages.Takeover, error)
	// Queues lists all queues by name.
	Queues(ctx context.Context) ([]workflow.Queue, error)
	// SetQueue changes settings of a queue and returns it as it is now.
	SetQueue(ctx context.Context, name string, change workflow.QueueChange) (workflow.Queue, error)
	// PauseQueue keeps runs of a queue from beginning.
	PauseQueue(ctx context.Context, name string) (queue workflow.Queue, changed bool, err error)
	// ResumeQueue lets them begin again.
	ResumeQueue(ctx context.Context, name string) (queue workflow.Queue, changed bool, err error)
	Observed
}

// Observed is what says how it fares.
type Observed interface {
	// Metrics returns what it counts.
	Metrics() prometheus.Collector
	// Ready returns nil when it takes work, or else why it does not.
	Ready(ctx context.Context) error
}

// Config holds the choices of a [Handler] that have defaults.
type Config struct {
	// Hosts are the names, without port, by which clients may call the API
	// besides localhost, 127.0.0.1 and [::1]. A request for another name is
	// refused: it is what a browser sends whose DNS was turned against it.
	// Defaults to none.
	Hosts []string
	// Tokens makes every caller show a token of a scope that suffices. Hosts are
	// not looked at then. Defaults to nil: no token is needed.
	Tokens *tokens.Verifier
	// Logger hears of panics. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Handler returns the API of engine.
func Handler(engine Engine, cfg Config) http.Handler {
	cfg = cfg.withDefaults()
	return cfg.serving(routes(engine, cfg.options()))
}

// HealthHandler returns what tells how something fares that has no API.
func HealthHandler(observed Observed, cfg Config) http.Handler {
	return cfg.withDefaults().serving(healthRoutes(observed))
}

// serving puts handlers, by pattern, behind what keeps strangers out.
func (c Config) serving(routes map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.Handle(pattern, handler)
	}
	return newGuard(c, mux)
}

func (c Config) options() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithInterceptors(translator{}),
		connect.WithRecover(c.recovered),
		connect.WithConditionalHandlerOptions(func(spec connect.Spec) []connect.HandlerOption {
			return []connect.HandlerOption{connect.WithReadMaxBytes(bodyLimit(spec.Procedure))}
		}),
	)
}

// routes are the handlers of all that is served, by pattern.
func routes(engine Engine, options connect.HandlerOption) map[string]http.Handler {
	routes := healthRoutes(engine)
	routes["GET /{$}"] = http.HandlerFunc(welcome)
	serve := func(pattern string, handler http.Handler) { routes[pattern] = handler }
	serve(messagesconnect.NewRunServiceHandler(runService{engine}, options))
	serve(messagesconnect.NewWorkflowServiceHandler(workflowService{engine}, options))
	serve(messagesconnect.NewActorServiceHandler(actorService{engine}, options))
	serve(messagesconnect.NewAgentServiceHandler(agentService{engine}, options))
	serve(messagesconnect.NewQueueServiceHandler(queueService{engine}, options))
	serve(messagesconnect.NewScheduleServiceHandler(scheduleService{engine}, options))
	serve(messagesconnect.NewClusterServiceHandler(clusterService{engine}, options))
	return routes
}

// recovered turns a panic of a handler into an answer.
func (c Config) recovered(ctx context.Context, spec connect.Spec, _ http.Header, value any) error {
	c.Logger.ErrorContext(ctx, "API call panicked", "procedure", spec.Procedure, "panic", value, "stack", string(debug.Stack()))
	return connect.NewError(connect.CodeInternal, fmt.Errorf("%s panicked; the log of the server says where", spec.Procedure))
}
