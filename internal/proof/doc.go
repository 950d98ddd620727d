// Package proof holds CentralCloud as a whole to what it is for: a hub learns from
// three nodes which models to ask, of which only the test knows how good, how wordy
// and how fast they are at each task, and a good answer then costs less than from
// whoever always asks the reference, at about its success.
//
// The nodes are real ones on one Postgres, with the built-in workflow and the real
// clients of three protocols, and the hub is a process of its own that is killed
// with -9. Servers on loopback play the providers, by a table drawn from a seed.
// Whether an answer is good, which here is that it is no refusal, depends on the
// seed, the request and the model alone, so that what the reference would have made
// of the same requests is known exactly.
//
// Then a model silently gets worse, a provider is out for a time, a node is killed
// before it told of its calls, and so is the hub. All the while the hub's counters
// are held against what the servers served: the same numbers, for each task and
// model.
//
// As part of the tests two seeds are drawn, and what was learned must be no
// disaster. With -proof.full there are five, and each must come to at most three
// quarters of the reference's cost at a success within three hundredths.
package proof
