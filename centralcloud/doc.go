// Package centralcloud is the hub that learns from what all nodes did, and the
// channel between it and them.
//
// The channel is message queues, on Postgres those of pgmq and on the embedded
// store some of the same kind: a message is leased by reading it, comes again
// when its lease ends, and is gone once it is deleted. So each message is
// worked on at least once, and whoever works on it has to bear that.
package centralcloud
