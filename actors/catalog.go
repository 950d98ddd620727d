package actors

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"singularity/persistence"
	"singularity/workflow"
)

// catalog holds the workflows that a node knows. It is safe for concurrent use.
type catalog struct {
	transactions bool // the store runs steps in transactions

	mu     sync.RWMutex
	newest map[string]*workflow.Program
	all    map[persistence.Definition]*workflow.Program
}

func newCatalog(transactions bool) *catalog {
	return &catalog{transactions: transactions, newest: map[string]*workflow.Program{}, all: map[persistence.Definition]*workflow.Program{}}
}

// register adds all versions of one workflow.
func (c *catalog) register(newest workflow.Definition, older ...workflow.Definition) error {
	programs, err := workflow.CompileVersions(newest, older...)
	if err != nil {
		return err
	}
	if first := programs[0]; first.Keyed && first.Durability == workflow.Ephemeral {
		return fmt.Errorf("workflow %s is ephemeral and has a Key function: nothing is stored that a key could find", first.Name)
	}
	for _, program := range programs {
		if err := c.checkTransactional(program); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := programs[0].Name
	if c.newest[name] != nil {
		return fmt.Errorf("workflow %s is registered already; give all its versions to one Register", name)
	}
	c.newest[name] = programs[0]
	for _, program := range programs {
		c.all[persistence.Definition{Workflow: name, Version: program.Version}] = program
	}
	return nil
}

func (c *catalog) checkTransactional(program *workflow.Program) error {
	for _, step := range program.Steps {
		switch {
		case !step.Transactional:
		case program.Durability != workflow.Checkpointed:
			return fmt.Errorf("workflow %s is %s, and its step %s is transactional: only a checkpointed one commits with each step",
				program.Name, program.Durability, step.Name)
		case !c.transactions:
			return fmt.Errorf("workflow %s: step %s is transactional, and this store has no transactions for steps; open the engine on Postgres",
				program.Name, step.Name)
		}
	}
	return nil
}

// find returns the newest version of a workflow.
func (c *catalog) find(name string) (*workflow.Program, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if program := c.newest[name]; program != nil {
		return program, nil
	}
	names := c.names()
	if len(names) == 0 {
		return nil, fmt.Errorf("%w %q: none is registered", workflow.ErrUnknownWorkflow, name)
	}
	return nil, fmt.Errorf("%w %q: registered are %s", workflow.ErrUnknownWorkflow, name, strings.Join(names, ", "))
}

// names are those that users gave.
func (c *catalog) names() []string {
	names := make([]string, 0, len(c.newest))
	for name := range c.newest {
		if !strings.HasPrefix(name, ownPrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// version returns the program that a stored run needs; nil for one that is not
// registered.
func (c *catalog) version(name string, number int) *workflow.Program {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.all[persistence.Definition{Workflow: name, Version: number}]
}

// known lists what this node can run from its store.
func (c *catalog) known() []persistence.Definition {
	c.mu.RLock()
	defer c.mu.RUnlock()
	known := make([]persistence.Definition, 0, len(c.all))
	for definition, program := range c.all {
		if program.Durability != workflow.Ephemeral {
			known = append(known, definition)
		}
	}
	slices.SortFunc(known, func(a, b persistence.Definition) int {
		if order := strings.Compare(a.Workflow, b.Workflow); order != 0 {
			return order
		}
		return a.Version - b.Version
	})
	return known
}

// list returns the newest version of each workflow of users, by name.
func (c *catalog) list() []*workflow.Program {
	c.mu.RLock()
	defer c.mu.RUnlock()
	programs := make([]*workflow.Program, 0, len(c.newest))
	for _, name := range c.names() {
		programs = append(programs, c.newest[name])
	}
	return programs
}
