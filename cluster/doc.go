// Package cluster makes a process a member of a cluster: it finds the others by
// gossip, keeps a stream to each, carries messages between them, and says when
// one of them looks dead.
//
// What it knows is hints. Who is dead, and who owns what, is for the database to
// say, which this package does not know.
package cluster
