// Package actors is the engine: it runs the runs of one process on a store.
//
// A [Node] is a tree of supervised actors. The dispatcher gives out the slots
// of the queues: it starts a new run at once where it can, and claims what
// waits in the store. Each run in memory is an actor around a state machine
// that has no clock and no I/O; its steps are tasks beside it. What they leave
// goes through the [Journal], which commits the writes of all runs in groups,
// and back to the actor, which goes on only when it has landed.
//
// Nothing that matters is in an actor's memory alone. An actor that crashes is
// started again and reads its row; a process that dies is followed by another
// one that takes the runs back. Whatever the dead had under way is fenced by
// the epoch of the row.
//
// The methods of a Node may be called from any goroutine. Actors never wait
// inside Receive: they append to the journal and start tasks, and hear of the
// outcome by message.
package actors
