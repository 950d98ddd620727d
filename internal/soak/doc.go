// Package soak holds nodes that share a Postgres to what ARCHITECTURE.md says
// of them, while things go wrong: owners are killed with -9, paused at the worst
// moments, starved and drained, one after the other is replaced at its addresses,
// the database is restarted, killed, replaced by its standby and slow, and the
// network is cut, works one way only or loses packets. All the while the limits of
// queues hold over all nodes, however many there are. It also measures what they
// claim: that three nodes do the work of three, that idle ones leave the database
// alone, that many start together, and that a cancel reaches a step elsewhere.
//
// Each scenario runs real processes, of the program in node, on a Postgres
// server of its own; faults that one node alone has to see get an engine in the
// process of the tests: connections cut around a commit, keys held by a caller,
// bytes that Postgres refuses, outages, and nothing to do at all. The network is
// one of the kernel's namespaces, with a switch that drops packets; where that is
// not possible, without root, the nodes lose by themselves what they exchange,
// and the report says so. What was done
// is known from outside: a ledger counts every effect of every step, a log has
// what the clients were told, and a trigger notes each change of a run in the
// order of the commits. Afterwards one query for each invariant looks for
// breaches. A scenario also proves that its fault happened; else it is invalid,
// which is no pass.
//
// As part of the tests each fault happens a few times and only safety counts:
// nothing that a busy machine makes slower fails them.
// With -soak.full, as make soak gives it, faults are repeated until their
// figures mean something, and a report has the figures and verdicts.
package soak
