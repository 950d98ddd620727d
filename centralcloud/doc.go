// Package centralcloud holds what nodes and the hub say to each other: the
// counters that nodes send up, and the policies that come down.
//
// Counters are integers that only add up, and each row of them is sent as a
// whole under a revision. So it does not matter how often, how late or in which
// order rows arrive: the same rows leave the same state. What is learned from
// them is made anew from that state each time, by the package learner; only
// counters and policies are ever stored.
package centralcloud
