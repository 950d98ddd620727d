// Package centralcloud holds what nodes and the hub say to each other, and the
// channel between them: counters and samples of calls go up, what the hub learned
// from them comes down.
//
// The channel is message queues, on Postgres those of pgmq and on the embedded
// store some of the same kind: a message is leased by reading it, comes again
// when its lease ends, and is gone once it is deleted. So each message is
// worked on at least once, and whoever works on it has to bear that.
//
// Counters are integers that only add up, and each row of them is sent as a
// whole under a revision. So it does not matter how often, how late or in which
// order rows arrive: the same rows leave the same state. What is learned from
// them is made anew from that state each time, by the packages learner and
// patterns: no estimate is ever stored to go on from.
package centralcloud
