// Package remoting carries messages between the nodes of a cluster, and raises
// the alarm when one of them is gone.
//
// A [Node] sends a message to a named target on a [Peer], which is one start of
// a process, by [Node.Call] or [Node.Tell]; the peer's Deliver function answers.
// A message is acted on by the process that it was meant for or by none, at most
// once as long as its reply is remembered, and its sender always learns how it
// ended: by the reply, by an error of the receiver, or by one of this package's
// errors, which say whether the message can have been acted on. Messages that
// are under way together may overtake each other.
//
// # What is protoactor's, and what is not
//
// Envelopes travel as protoactor's remote sends them: through the queue and the
// batches of one endpoint a peer, over its gRPC service, to an actor, the inbox.
// Around it stands what it lacks.
//
//   - Its reader dies of a type or an index that it does not know, and obeys
//     system messages from anywhere. The guard in the gRPC server lets through
//     envelopes to the inbox that it has read itself, and nothing else.
//   - Its writer queues without limit and loses what it had when a stream breaks.
//     A window bounds what is under way to a peer, and its messages are answered
//     for whatever becomes of the stream.
//   - Its connections sleep for two seconds after a failure, and say neither what
//     failed nor who answered. A link dials by itself; protoactor's writer
//     writes to a stream that never breaks, which is the link.
//   - Its addresses outlive a process. Here an address is host:port#boot, so that
//     what is queued for one boot cannot reach the next.
//   - Every peer may stop and spawn its actors. The actor system of a node holds
//     the inbox and is not that of the engine.
//
// # Goroutines
//
// Each link has one, each inbound stream those of gRPC, each delivery one of its
// own. [Node.Close] waits for all of them.
package remoting
