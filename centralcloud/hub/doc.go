// Package hub learns from what all nodes report, and tells them.
//
// A [Hub] reads the updates of the nodes from a queue, stores their counters,
// makes a policy from them every few seconds, looks for patterns every few
// minutes, and puts what is new into the queue of each node. Any number of hubs
// may use one database: one of them leads, by a lease whose epoch fences
// everything that is written, and the others wait.
//
// All that a hub knows is in its [Store]. A hub that takes over, or starts again,
// reads the counters and goes on with the same policy.
package hub
