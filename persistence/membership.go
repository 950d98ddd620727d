package persistence

import (
	"context"
	"time"
)

// BootID names one start of one process. It is never used twice.
type BootID string

// Boot is a process that runs runs.
type Boot struct {
	ID       BootID
	Instance string // the label that people know it by
	Hostname string
	PID      int
	Version  string // of the program
	// Capabilities says what the process can do, as a JSON object; empty: {}.
	Capabilities string
	Addresses
}

// Addresses are where others reach a boot; empty for what it has not.
type Addresses struct {
	Gossip string // host:port, for members of its cluster to find it
	Actors string // host:port, for their messages
	API    string // URL, for clients
}

// Member is an instance as instance_registry has it: a label with its latest boot.
type Member struct {
	Instance      string
	Boot          BootID
	Hostname      string
	PID           int
	Status        string // online, offline, draining or paused
	Load          int    // runs executing when it last said so
	Capabilities  string // a JSON object
	LastHeartbeat time.Time
	CreatedAt     time.Time
	Version       string
	Addresses     // only while it lives
}

// MaxCrashes is how many process deaths since its last checkpoint quarantine a
// run; after one fewer it runs alone.
const MaxCrashes = 3

// QuarantineError is the error text of a quarantined run.
const QuarantineError = "its process died three times since the last checkpoint"

// Membership keeps the boots and what becomes of the runs of dead ones.
type Membership interface {
	// Join makes boot a living owner of runs. It is ErrFenced when that boot has
	// ended, and ErrInstanceTaken while another living boot has its label.
	Join(ctx context.Context, boot Boot) error
	// Leave ends a boot. Runs that it still owns count as left by a crash.
	Leave(ctx context.Context, boot BootID) error
	// Reassign releases up to limit running runs whose owner is not alive: the
	// next epoch, one more crash, available; the third crash quarantines a run.
	// It is repeated until it returns no runs.
	Reassign(ctx context.Context, limit int) (Reassigned, error)
	// Members lists the instances, the latest heartbeat first.
	Members(ctx context.Context) ([]Member, error)
	// Takeovers lists up to limit takeovers, the latest first.
	Takeovers(ctx context.Context, limit int) ([]Takeover, error)
}

// Reassigned counts what [Membership.Reassign] did.
type Reassigned struct {
	Released    int
	Quarantined int
}

// Agents keeps named agents and their inboxes. Messages arrive by the
// checkpoint of the step that sent them.
type Agents interface {
	// RegisterAgent makes boot the home of a named agent, in the next epoch, and
	// returns that: an earlier home is fenced. Messages that wait stay. While
	// another boot that lives is the home it is ErrAgentTaken, unless replace is
	// set and both are of the kind attached.
	RegisterAgent(ctx context.Context, agent Agent, replace bool) (epoch int64, err error)
	// Agent returns one agent, or workflow.ErrAgentNotFound.
	Agent(ctx context.Context, name string) (Agent, error)
	// Agents lists all agents by name.
	Agents(ctx context.Context) ([]Agent, error)
	// Inbox returns up to limit messages that wait for an agent, oldest first,
	// beginning after the message that has the given sequence number.
	Inbox(ctx context.Context, agent string, after int64, limit int) ([]InboxMessage, error)
}

// AgentKind says where an agent's code is.
type AgentKind string

// The kinds of agents.
const (
	AgentBuiltIn  AgentKind = "go"       // a function in a node
	AgentAttached AgentKind = "attached" // a process that listens over the API
)

// Agent is a named receiver of messages.
type Agent struct {
	Name         string
	Kind         AgentKind
	Boot         BootID // its home
	Instance     string // the label of its home; on reading
	Alive        bool   // its home has not ended; on reading
	Epoch        int64
	Waiting      int // messages in its inbox that are not done
	RegisteredAt time.Time
}

// InboxMessage is a message that waits for an agent.
type InboxMessage struct {
	Seq       int64 // the order of arrival
	Agent     string
	MessageID string
	Source    string
	Type      string
	Payload   []byte
	ArrivedAt time.Time
}
