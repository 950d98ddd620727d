package supervisor

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// State is what a child is doing.
type State uint8

// The states of a child.
const (
	Waiting    State = iota // for its turn to start
	Starting                // spawned, and has not yet handled *actor.Started
	Running                 //
	Stopping                // told to stop, and has not ended
	BackingOff              // will be restarted when its backoff is over
	Stopped                 // will not be started again by itself
)

// String returns the state in lower-case words.
func (s State) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Starting:
		return "starting"
	case Running:
		return "running"
	case Stopping:
		return "stopping"
	case BackingOff:
		return "backing off"
	case Stopped:
		return "stopped"
	default:
		return fmt.Sprintf("State(%d)", uint8(s))
	}
}

// Node describes an actor of a tree at one moment.
type Node struct {
	// Name is the name of the child, and for the root its actor id.
	Name string
	// PID is address/id of the running actor, empty if there is none.
	PID string
	// Kind is the strategy of a supervisor, "pool", or "actor". It is empty for a
	// child that has never been spawned.
	Kind string
	// State is what the child is doing.
	State State
	// Restarts is how often the child was started again by the supervisor that
	// holds it now.
	Restarts int
	// Mailbox is the number of messages that wait for the actor.
	Mailbox int
	// LastFailure is the last panic of the child, or why it was left behind.
	LastFailure   string
	LastFailureAt time.Time
	// Children are the children in start order; of a pool up to 100 of them, by
	// name, those that have failed before those that have not.
	Children []Node
	// More is the number of children that Children leaves out.
	More int
}

// String returns the tree as Print prints it.
func (n Node) String() string {
	var b strings.Builder
	_ = n.Print(&b) // a Builder returns no error
	return b.String()
}

// Print writes the tree to w, one actor a line.
func (n Node) Print(w io.Writer) error {
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	row(tw, "NAME", "PID", "KIND", "STATE", "MAILBOX", "RESTARTS", "LAST FAILURE")
	n.addTo(tw, "", "")
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// addTo adds n, whose row begins with first, and what is below it, whose rows begin
// with rest.
func (n Node) addTo(tw *tabwriter.Writer, first, rest string) {
	row(tw, first+n.Name, n.PID, n.Kind, n.State, n.Mailbox, n.Restarts, n.failure())
	for i, c := range n.Children {
		if i == len(n.Children)-1 && n.More == 0 {
			c.addTo(tw, rest+"└─ ", rest+"   ")
		} else {
			c.addTo(tw, rest+"├─ ", rest+"│  ")
		}
	}
	if n.More > 0 {
		row(tw, fmt.Sprintf("%s└─ … %d more", rest, n.More), "", "", "", "", "", "")
	}
}

// row adds a row to a table. A tabwriter keeps its errors until it is flushed.
func row(tw *tabwriter.Writer, cells ...any) {
	for _, cell := range cells {
		_, _ = fmt.Fprintf(tw, "%v\t", cell)
	}
	_, _ = fmt.Fprintln(tw)
}

// failure is the last failure in one line.
func (n Node) failure() string {
	if n.LastFailure == "" {
		return ""
	}
	line, _, _ := strings.Cut(n.LastFailure, "\n")
	return n.LastFailureAt.UTC().Format(time.RFC3339) + " " + strings.ReplaceAll(line, "\t", " ")
}

// describe asks a branch for a view of its children. The channel has room for the
// answer.
type describe struct{ reply chan<- view }

type view struct {
	children []sketch
	more     int
}

// sketch is a Node without its children; branch is whom to ask for them, nil for
// nobody.
type sketch struct {
	Node

	branch *actor.PID
}

func sketchOf(name, role string, state State, h *history, inc *incarnation) sketch {
	s := sketch{Node: Node{Name: name, Kind: role, State: state}}
	s.Restarts = h.restarts()
	if h.lastFailure != nil {
		s.LastFailure, s.LastFailureAt = h.lastFailure.Error(), h.lastFailureAt
	}
	if inc != nil {
		s.PID = address(inc.pid())
		s.Mailbox = inc.UserMessageCount()
		if inc.branch() != nil {
			s.branch = inc.pid()
		}
	}
	return s
}

func address(pid *actor.PID) string { return pid.Address + "/" + pid.Id }
