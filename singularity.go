// Package singularity runs durable workflows as supervised actors.
//
// Open an [Engine], give it workflows made with package workflow, and start
// runs. Every finished step of a run is a checkpoint; when the process dies,
// the next one that opens the same data goes on at the step after it.
//
//	engine, err := singularity.Open(ctx, singularity.Config{DataDir: "data"}, greeting)
//	run, err := greeting.Start(ctx, engine, Request{Name: "Ada"})
//	out, err := run.Wait(ctx)
package singularity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"singularity/actors"
	"singularity/messages"
	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/persistence/postgres"
	"singularity/persistence/sqlite"
	"singularity/workflow"
)

// Config is how an [Engine] is set up. The zero value keeps everything in
// memory.
type Config struct {
	// DataDir is the folder of the embedded database, made when it is not there.
	// One process at a time may use it. Empty: runs are kept in memory and end
	// with the process.
	DataDir string
	// DatabaseURL names a Postgres database, as postgres://user@host/name, which
	// any number of processes may share. It takes the place of DataDir.
	DatabaseURL string
	// SessionDatabaseURL names the same database without a transaction pooler, for
	// the one connection that a process keeps for itself. Defaults to DatabaseURL.
	SessionDatabaseURL string
	// Cluster makes the engines that share the Postgres database find each other and
	// talk: work that one has no room for begins on another at once, messages reach
	// actors anywhere, and a dead engine is noticed within moments. Without it they
	// only meet in the database.
	Cluster *Cluster
	// Migrate brings the schema of the Postgres database up to date first. That of
	// an embedded database always is.
	Migrate bool
	// JournalWriters is how many transactions of the journal may be under way at
	// once. Defaults to 1.
	JournalWriters int
	// Capabilities says in the registry of processes what this one can do, as a
	// JSON object, to which its queues are added. Defaults to {}.
	Capabilities string
	// Instance is the label that people know this process by. Defaults to
	// host:pid.
	Instance string
	// Queues are the names of the queues and how many of their runs may run at
	// once here. Defaults to default 10, metrics 5, training 2, pattern_mining 3.
	Queues map[string]int
	// Schedules are put when the engine opens, see [Engine.PutSchedule]. One that is
	// taken out of here stays until it is deleted.
	Schedules []workflow.ScheduleSpec
	// Retention says how long ended runs are kept, by state and queue. Defaults to
	// 24h for completed and cancelled ones, 7 days for failed and quarantined ones.
	Retention persistence.RetentionPolicy
	// CentralCloud is the hub that learns from what all engines do. Without a queue
	// in it, the engine has none.
	CentralCloud CentralCloud
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Version of the program, for the registry of processes.
	Version string
}

// Engine runs workflows. Its methods are safe for concurrent use.
type Engine struct {
	node  *actors.Node
	peers *peers // nil where there is no cluster
	store persistence.Store
}

var _ workflow.Engine = (*Engine)(nil)

// Open opens the data, takes up the runs that an earlier process left, and
// runs the given workflows. Close the engine when done.
//
// A directory that another process has open is [persistence.ErrLocked].
func Open(ctx context.Context, cfg Config, definitions ...workflow.Definition) (*Engine, error) {
	store, err := openStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	engine, err := start(ctx, store, cfg, definitions)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return engine, nil
}

func openStore(ctx context.Context, cfg Config) (persistence.Store, error) {
	switch {
	case cfg.DatabaseURL != "" && cfg.DataDir != "":
		return nil, fmt.Errorf("open engine: both DataDir %s and DatabaseURL are set; runs are kept in one of them", cfg.DataDir)
	case cfg.DatabaseURL != "":
		return openPostgres(ctx, cfg)
	case cfg.DataDir != "":
		return sqlite.Open(ctx, sqlite.Config{Dir: cfg.DataDir})
	default:
		return memory.New(), nil
	}
}

func openPostgres(ctx context.Context, cfg Config) (persistence.Store, error) {
	if cfg.Migrate {
		if _, err := postgres.MigrateUp(ctx, cmp.Or(cfg.SessionDatabaseURL, cfg.DatabaseURL)); err != nil {
			return nil, err
		}
	}
	return postgres.Open(ctx, postgres.Config{
		URL:        cfg.DatabaseURL,
		SessionURL: cfg.SessionDatabaseURL,
		Writers:    cmp.Or(cfg.JournalWriters, 1) + 2, // and those of starts with a key and of limited claims
		Logger:     cfg.Logger,
	})
}

func start(ctx context.Context, store persistence.Store, cfg Config, definitions []workflow.Definition) (*Engine, error) {
	config := actors.Config{
		Instance:     cfg.Instance,
		Version:      cfg.Version,
		Queues:       cfg.Queues,
		Retention:    cfg.Retention,
		Journal:      actors.JournalConfig{Writers: cfg.JournalWriters},
		Capabilities: cfg.Capabilities,
		CentralCloud: cfg.CentralCloud,
		Logger:       cfg.Logger,
	}
	node, others, err := newNode(ctx, store, config, cfg.Cluster)
	if err != nil {
		return nil, fmt.Errorf("open engine: %w", err)
	}
	for _, definition := range definitions {
		if err := node.Register(definition); err != nil {
			return nil, fmt.Errorf("open engine: %w", err)
		}
	}
	if err := node.Start(ctx); err != nil {
		return nil, fmt.Errorf("open engine: %w", err)
	}
	for _, spec := range cfg.Schedules {
		if _, err := node.PutSchedule(ctx, spec); err != nil {
			return nil, fmt.Errorf("open engine: %w", errors.Join(err, node.Stop(ctx)))
		}
	}
	return &Engine{node: node, peers: others, store: store}, nil
}

// Close takes no more starts, lets the steps under way finish until ctx ends,
// and stores where the unfinished runs stand; the next process goes on with
// them. It may be called twice.
func (e *Engine) Close(ctx context.Context) error {
	return errors.Join(e.node.Stop(ctx), e.store.Close())
}

// Drain asks a node of the cluster, or this one, to drain and end, and returns its
// label when it has begun to. It goes by its label, its boot or the address of its
// actors.
func (e *Engine) Drain(ctx context.Context, node string) (instance string, err error) {
	return e.node.Drain(ctx, node)
}

// DrainAsked is closed when somebody asks this engine to drain. Close it then, and
// end the process.
func (e *Engine) DrainAsked() <-chan struct{} { return e.node.DrainAsked() }

// Done is closed when the engine gave up by itself, as it does when its actors
// keep failing, or when too many steps ignore their cancelled context. End the
// process then: a new one goes on with the runs.
func (e *Engine) Done() <-chan struct{} { return e.node.Done() }

// Err says why Done was closed; nil before.
func (e *Engine) Err() error { return e.node.Err() }

// Instance is the label that people know the process by.
func (e *Engine) Instance() string { return e.node.Instance() }

// Ready returns nil when the engine takes and runs work, and else why not.
func (e *Engine) Ready(ctx context.Context) error { return e.node.Ready(ctx) }

// Register adds a workflow with all its versions, the newest first. Stored
// runs of it go on.
func (e *Engine) Register(newest workflow.Definition, older ...workflow.Definition) error {
	return e.node.Register(newest, older...)
}

// Workflows returns the newest version of each registered workflow, by name.
func (e *Engine) Workflows() []*workflow.Program { return e.node.Workflows() }

// StartRun implements [workflow.Engine]. Go callers use Start of a workflow.
func (e *Engine) StartRun(ctx context.Context, req workflow.StartRequest) (workflow.Pending, error) {
	return e.node.StartRun(ctx, req)
}

// PendingRun implements [workflow.Engine]. Go callers use Handle of a workflow.
func (e *Engine) PendingRun(ctx context.Context, id workflow.RunID) (workflow.Pending, error) {
	return e.node.PendingRun(ctx, id)
}

// Run reads one run, with its input and output.
func (e *Engine) Run(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	return e.node.Run(ctx, id)
}

// Runs lists a page of runs without their documents, newest first. A page that is
// not full may have another one after it, see [workflow.Page].
func (e *Engine) Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error) {
	return e.node.Runs(ctx, filter)
}

// Steps returns a run's history.
func (e *Engine) Steps(ctx context.Context, id workflow.RunID) ([]workflow.StepRun, error) {
	return e.node.Steps(ctx, id)
}

// Cancel ends a run; a step under way has its context cancelled. A run that
// has ended otherwise is workflow.ErrWrongState.
func (e *Engine) Cancel(ctx context.Context, id workflow.RunID, reason string) (workflow.Run, error) {
	return e.node.Cancel(ctx, id, reason)
}

// Retry makes a failed, cancelled, quarantined or waiting run available again,
// at the step where it stands, with fresh attempts.
func (e *Engine) Retry(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	return e.node.Retry(ctx, id)
}

// Score says how good the last answer was that a run got from a model, from 0 to 1.
// It takes the place of an earlier score of the same name, and of what the run's step
// made of the answer, in all that a hub learns from. There is a day for it, and it
// may be repeated. A run without an answer is workflow.ErrNothingToScore.
func (e *Engine) Score(ctx context.Context, id workflow.RunID, score workflow.Score) (workflow.Scored, error) {
	return e.node.Score(ctx, id, score)
}

// Watch returns what happens to a run from now on. The channel is closed after
// RunEnded, which comes at once for a run that has ended before, or when ctx
// ends. A reader that lags behind loses events, but not that one.
func (e *Engine) Watch(ctx context.Context, id workflow.RunID) (<-chan workflow.Event, error) {
	return e.node.Watch(ctx, id)
}

// Send gives a message to an actor, such as run/<id> or agent/<name>, and
// returns its answer.
func (e *Engine) Send(ctx context.Context, pid, messageType string, payload json.RawMessage) (json.RawMessage, error) {
	return e.node.Send(ctx, pid, messageType, payload)
}

// RegisterAgent makes take the receiver of the messages to a named agent, one
// at a time. An error makes a message come again; its ID tells whether it was
// seen before.
func (e *Engine) RegisterAgent(ctx context.Context, name string, take func(context.Context, workflow.Message) error) error {
	return e.node.RegisterAgent(ctx, name, take)
}

// AttachAgent returns the messages to a named agent, those first that were
// never acknowledged, until ctx ends or another call attaches the same name;
// then the channel is closed.
func (e *Engine) AttachAgent(ctx context.Context, name string) (<-chan workflow.Delivery, error) {
	return e.node.AttachAgent(ctx, name)
}

// AcknowledgeMessage says that an attached agent is done with a message.
func (e *Engine) AcknowledgeMessage(ctx context.Context, agent, messageID string) error {
	return e.node.AcknowledgeMessage(ctx, agent, messageID)
}

// AgentExists reports whether an agent of that name was ever registered.
func (e *Engine) AgentExists(ctx context.Context, name string) (bool, error) {
	return e.node.AgentExists(ctx, name)
}

// Agents lists all agents by name.
func (e *Engine) Agents(ctx context.Context) ([]workflow.Agent, error) { return e.node.Agents(ctx) }

// ActorTree describes the supervision tree of a node of the cluster, by its label,
// its boot or the address of its actors, or of this engine if node is empty.
func (e *Engine) ActorTree(ctx context.Context, node string) (*messages.Actor, error) {
	root, err := e.node.Tree(ctx, node)
	if err != nil {
		return nil, fmt.Errorf("describe the actors: %w", err)
	}
	return root, nil
}

// Stats counts what the engine did since Open.
func (e *Engine) Stats() actors.Stats { return e.node.Stats() }
