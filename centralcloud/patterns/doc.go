// Package patterns finds what stands out in the calls that nodes report: steps
// that fail or are slow, errors that are new or suddenly frequent, retries that
// never help, timeouts that do not fit, calls that ask the same again, and what
// each model is worth.
//
// All of it is made by pure functions of an [Evidence]. The counters in it are exact
// and say how often something happens; the samples are some of the calls in full,
// and say which. Of what happens often there are fewer samples than calls, so
// each one stands for as many as its row of counters has of its kind.
//
// A finding holds while its interval keeps off the threshold of its rule, for all
// calls and for both halves of the nodes. The rules look at the last [Window], so
// that what has been mended is withdrawn. The same calls, in whatever order they
// come, give the same findings; only which of more than 16 nodes are taken
// together depends on who was there first.
package patterns
