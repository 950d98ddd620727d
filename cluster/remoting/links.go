package remoting

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"golang.org/x/sync/semaphore"

	"singularity/messages"
)

// links are a node's ways to others, at most one to each.
type links struct {
	self   Peer
	system *actor.ActorSystem
	dialer *dialer
	limits Limits
	bell   *bell

	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	byPeer map[Peer]*link
	byName map[string]*link
	begun  int             // links so far
	wanted map[Peer]Reason // those that stand by themselves, and why they do not
}

// standing is the reason of a peer whose stream stands.
const standing Reason = ""

// unknown is the reason of a peer that was not tried yet.
const unknown Reason = "unknown"

// newLinks begins with the link to the node itself.
func newLinks(system *actor.ActorSystem, self Peer, dialer *dialer, limits Limits, bell *bell) *links {
	s := &links{
		self: self, system: system, dialer: dialer, limits: limits, bell: bell,
		byPeer: map[Peer]*link{}, byName: map[string]*link{}, wanted: map[Peer]Reason{},
	}
	own := s.make(self, self.String())
	own.local = true
	own.close = func(cause error) {
		for _, tell := range own.fall(&LinkError{self, Closed, cause}, false) {
			tell()
		}
	}
	s.byPeer[self] = own
	return s
}

func (s *links) make(p Peer, name string) *link {
	inbox := actor.NewPID(name, inboxName)
	return &link{
		peer: p, dialer: s.dialer, redial: s.limits.Redial,
		post:    func(e *messages.Envelope) { s.system.Root.Send(inbox, e) },
		retire:  func() { s.system.EventStream.Publish(&remote.EndpointTerminatedEvent{Address: name}) },
		window:  semaphore.NewWeighted(s.limits.Window),
		replies: semaphore.NewWeighted(s.limits.Window),
		kick:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
		attempt: newAttempt(),
		waiting: map[string]*outgoing{},
	}
}

// to returns the link to a peer, and begins it if there is none.
func (s *links) to(p Peer) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.toLocked(p)
}

func (s *links) toLocked(p Peer) (*link, error) {
	if l, found := s.byPeer[p]; found {
		return l, nil
	}
	if s.closed {
		return nil, ErrClosed
	}
	// No name comes twice, so that the queue of a link never becomes that of the next.
	s.begun++
	name := p.String() + "/" + strconv.Itoa(s.begun)
	l := s.make(p, name)
	ctx, cancel := context.WithCancelCause(context.Background())
	l.close = cancel
	s.byPeer[p], s.byName[name] = l, l
	s.running.Go(func() {
		defer cancel(nil)
		l.run(ctx, s)
	})
	return l, nil
}

// at returns the link to a peer, or nil if there is none.
func (s *links) at(p Peer) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byPeer[p]
}

// answer gives a reply to whoever waits for it: on the link to the peer, or on
// another if the peer was called by another address than it goes by.
func (s *links) answer(reply *messages.Envelope) {
	source, id := sourceOf(reply), reply.GetMessageId()
	if l := s.at(source); l != nil && l.end(id, nil, reply, nil) {
		return
	}
	for _, l := range s.all() {
		if l.peer.Boot == source.Boot && l.end(id, nil, reply, nil) {
			return
		}
	}
}

func (s *links) all() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.byPeer))
}

// named returns the link whose endpoint has that name, or nil when it has ended.
func (s *links) named(name string) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[name]
}

// want makes links stand by themselves: these and no others. The others last
// until their streams break.
func (s *links) want(peers []Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.wanted
	s.wanted = map[Peer]Reason{}
	for _, p := range peers {
		reason, found := before[p]
		if !found {
			reason = unknown
		}
		l, err := s.toLocked(p)
		if err != nil {
			return
		}
		s.wanted[p] = reason
		if !found && l.isUp() {
			s.tell(Event{Peer: p, Standing: true}, standing)
		}
	}
	for p := range before {
		if l := s.byPeer[p]; l != nil && !s.wants(p) && !l.isUp() {
			l.close(errLeft)
		}
	}
}

func (s *links) wants(p Peer) bool {
	_, found := s.wanted[p]
	return found
}

// tell raises an event if it says something new. The caller holds the mutex.
func (s *links) tell(e Event, reason Reason) {
	if known, wanted := s.wanted[e.Peer]; wanted && known != reason {
		s.wanted[e.Peer] = reason
		s.bell.ring(e)
	}
}

// rose is told by a link that its stream stands.
func (s *links) rose(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(Event{Peer: l.peer, Standing: true}, standing)
}

// fell is told by a link why it has no stream, and whether it was closed, and
// answers whether to try again. If not, the link is none of them any more.
func (s *links) fell(l *link, failure *LinkError, closed bool) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := s.wants(l.peer) && !s.closed
	if wanted && !closed {
		s.tell(Event{Peer: l.peer, Reason: failure.Reason, Err: failure}, failure.Reason)
		return true
	}
	delete(s.byPeer, l.peer)
	maps.DeleteFunc(s.byName, func(_ string, named *link) bool { return named == l })
	if wanted { // again, since it was closed
		_, _ = s.toLocked(l.peer)
	}
	return false
}

// close ends all links and waits for them.
func (s *links) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, l := range s.all() {
		l.close(ErrClosed)
	}
	s.running.Wait()
}
