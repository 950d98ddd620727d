// Package learner makes policies from counters: which model to use for which
// kind of task.
//
// [Learn] is a pure function. It estimates how often each arm succeeds at each
// task, where tasks lend each other what they have in common; looks up what a
// call costs; drops the arms that a guardrail forbids; and gives each of the
// others the share of draws from the estimates in which it is the right choice,
// so that what is not known yet is tried in proportion. A [Ledger] keeps the
// counters between the calls of Learn, and nothing else: a policy that is made
// again from the same counters, after a restart, out of order or from repeated
// messages, has the same bytes.
package learner
