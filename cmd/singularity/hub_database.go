package main

import (
	"cmp"

	"github.com/spf13/pflag"
)

// hubDatabase says where the database of a hub is: with the nodes, unless it has
// one of its own.
type hubDatabase struct {
	own   string
	nodes databaseFlags
}

// register takes for people what else the database is.
func (d *hubDatabase) register(set *pflag.FlagSet, otherwise string) {
	registerHubURL(set, &d.own, otherwise)
	d.nodes.register(set)
}

// url leads past a pooler, where one was named that does: behind it nothing is heard
// of messages. Empty for none.
func (d *hubDatabase) url() string { return cmp.Or(d.own, d.nodes.direct()) }

// flag is by which the database was named.
func (d *hubDatabase) flag() string {
	if d.own != "" {
		return "--centralcloud-database-url"
	}
	return "--database-url"
}

// about names the database for people, without a password.
func (d *hubDatabase) about() string { return (&databaseFlags{url: d.url()}).about() }

// errNoHubDatabase is for those who named none.
var errNoHubDatabase = usagef("which database? Set DATABASE_URL or --database-url to that of the nodes, such as postgres://user@host/name, or --centralcloud-database-url to one that the hub has for itself")
