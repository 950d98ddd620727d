// Package contenders has those that are measured, one file each.
package contenders

import (
	"fmt"
	"runtime/debug"
	"slices"

	"singularity/benchmarks/contender"
)

// Commit and Floor are no engines but what the database itself can do; the
// others are held against them.
const (
	Commit      = "commit"
	Floor       = "floor"
	Singularity = "singularity"
)

// Assets are what contenders need that go.mod cannot bring.
type Assets struct {
	// PgflowSQL is the folder of the SQL files of pgflow's npm package.
	PgflowSQL string
}

// Names are all contenders of this package, in the order of the report.
func Names() []string {
	var names []string
	for _, each := range all {
		names = append(names, each.name)
	}
	return names
}

// New makes a contender.
func New(name string, assets Assets) (contender.Contender, error) {
	i := slices.IndexFunc(all, func(each entry) bool { return each.name == name })
	if i < 0 {
		return nil, fmt.Errorf("contender %q is none of %q", name, Names())
	}
	return all[i].make(assets), nil
}

type entry struct {
	name string
	make func(Assets) contender.Contender
}

var all = []entry{
	{Commit, func(Assets) contender.Contender { return &commit{} }},
	{Floor, func(Assets) contender.Contender { return &floor{} }},
	{Singularity, func(Assets) contender.Contender { return &engine{} }},
	{"dbos", func(Assets) contender.Contender { return &transact{} }},
	{"river", func(Assets) contender.Contender { return &queue{settings: riverDefault} }},
	{"river-tuned", func(Assets) contender.Contender { return &queue{settings: riverTuned} }},
	{"river-tx", func(Assets) contender.Contender { return &queue{settings: riverTx} }},
	{"pgflow", func(a Assets) contender.Contender { return &flow{sql: a.PgflowSQL, settings: pgflowDefault} }},
	{"pgflow-tuned", func(a Assets) contender.Contender { return &flow{sql: a.PgflowSQL, settings: pgflowTuned} }},
}

// Version is the version of a module that this program was built with.
func Version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}
