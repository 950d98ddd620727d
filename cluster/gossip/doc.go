// Package gossip keeps the list of a cluster's living members, by the gossip
// protocol of hashicorp/memberlist.
//
// It is an address book and an alarm bell, never a judge: that a member is in
// a [View] says that some other reached it lately, and that it is [Dead] says
// that nobody did for two or three seconds. Who may own what is decided
// elsewhere.
//
// # Names
//
// A member's name is its boot id, which is new for every start of a process. So
// two members never share one, and a member that left or died never returns;
// the process that starts in its place is another member. The boot id is what
// other protocols call an incarnation.
//
// # Finding each other
//
// [Open] never waits for others and does not mind that there are none: the first
// node of a cluster is alone. Others are looked for in the background, among
// [Config.Seeds] and what [Config.Peers] names, quickly at first, and then every
// ten to fifteen seconds for as long as the member lives. The latter is what
// heals a partition: memberlist forgets those that it could not reach for a
// while, and never looks for them again by itself.
//
// # Views
//
// [Gossip.Watch] gives a watcher the present view and then each later one, with
// what changed since the one that it saw before. A slow watcher gets fewer views
// with more changes in each; it holds up nobody, and the last view always
// arrives.
//
// # Security
//
// Beyond loopback a key is required: it encrypts what members say to each other,
// and who does not have it is no member. A member starts with the keys of its key
// file, and they are replaced in a running cluster by [Keyring.Add] on all members,
// then [Keyring.Use] on all, then [Keyring.Remove] on all. A [Config.Cluster] name
// keeps apart clusters that share a network by mistake.
//
// # Goroutines
//
// A Gossip has two goroutines of its own, and both have ended when Close or Leave
// returns. Those of memberlist end about then: one that waits for the answer of
// another member does so for a few seconds more. Memberlist's callbacks take a
// lock for the time of a map access and wait for nothing.
package gossip
