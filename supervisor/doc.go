// Package supervisor keeps actors running, the way OTP does, on top of
// protoactor's actor package.
//
// A supervisor is an actor that starts other actors in a given order, stops them
// in the reverse order, and starts those again that fail. Supervisors are
// children of supervisors, so a program is a tree: [Start] makes the root,
// [Props] the supervisors below it, and [PoolProps] a pool for children that
// come and go by the thousand. Protoactor's own restart strategies take no part:
// a child that panics is always stopped, and what is started in its place is a
// new actor from new Props.
//
// # What is promised
//
// Start order. A child is started when all children before it are running, which
// an actor is once it has handled *actor.Started without a panic, and a
// supervisor is once all of its own children are. Under [OneForOne] a restarted
// child does not wait for its siblings; where children restart as a group, the
// group starts in order again.
//
// Stop order. The last child is stopped first, and the next only when that one
// has ended. A child is stopped by a poison pill, so it still receives what was
// sent to it before; one that has not ended after its [Child.Shutdown] is logged,
// told to stop after the message in hand, and left behind: a child that blocks
// delays the stop by Shutdown and no more. The pool stops its children all at
// once. Stopping a supervisor by actor.Stop instead of a poison pill is the hard
// way: it tells all its children to stop and ends without waiting for them.
//
// Restarts. [Restart] says which ends of a child call for a restart, [Strategy]
// which siblings share it, and [Backoff] how long it waits. A panic while
// starting counts like any other, so a child that cannot start is tried again
// after growing delays, never in a loop. A panic while stopping is recorded and
// does not keep the actor from stopping.
//
// Escalation. A supervisor that would have to restart its children more than
// [Config.MaxRestarts] times within [Config.Window] stops them all in order and
// then fails, which is a failure of a child to the supervisor above. A root that
// gives up closes [Tree.Done]; what to do about that is up to the owner of the
// process, who learns the reason from [Tree.Err].
//
// # What is lost
//
// With a panic: the message in hand, everything still in the mailbox, and the
// actor's memory. Whatever must survive has to be stored elsewhere, and is best
// read back while handling *actor.Started.
//
// # Names
//
// A child called journal below a supervisor called singularity is the actor
// singularity/journal, or whatever its [Child.PID] says, and it has that id again
// after each restart. Only if the id is still taken, because a predecessor was
// left behind and has not ended, the child runs as journal~2, where 2 is the number
// of this start. It has its own id again after the next restart that finds it free.
//
// # Back-pressure
//
// There is none: the mailboxes of children are unbounded, and a pool starts every
// child that it is told to. Who sends sets the limits.
//
// # Goroutines
//
// A supervisor waits for nothing inside Receive: ends, deadlines and backoffs
// reach it as messages. It owns no goroutine and at most one timer, a pool one for
// each child in trouble; they end with it.
package supervisor
