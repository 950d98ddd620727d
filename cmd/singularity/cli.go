package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"singularity/workflow"
)

// defaultAddress is where dev listens.
const defaultAddress = "http://127.0.0.1:4000"

// cli is one call of the program.
type cli struct {
	stdin  io.Reader
	stdout io.Writer // results, and nothing else
	stderr io.Writer
	env    func(name string) (value string, found bool)

	// patience is how long a server that answered before may be away.
	patience time.Duration

	address string
	caFile  string
	token   string
	output  outputFormat
	acting  bool // the command line was understood, the command is at work
}

func newCLI(stdin io.Reader, stdout, stderr io.Writer, env func(string) (string, bool)) *cli {
	return &cli{stdin: stdin, stdout: stdout, stderr: stderr, env: env, patience: 30 * time.Second}
}

// run carries out one command and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	command, err := root.ExecuteContextC(ctx)
	if err != nil && !c.acting {
		err = &usageError{err, command.CommandPath()}
	}
	return c.report(err)
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "singularity",
		Short: "Durable workflows as supervised actors",
		Long: `Durable workflows as supervised actors.

"singularity dev" runs a node on a database of its own, "singularity node" one of
several on a Postgres database; the other commands drive one. Each flag can be
set by an environment variable too: --data-dir by SINGULARITY_DATA_DIR, but
--database-url by DATABASE_URL and --instance-id by INSTANCE_ID.

Exit codes: 0 done; 1 the run failed, or the request was refused; 2 wrong usage;
3 not found, or no answer; 130 interrupted.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.readEnvironment(cmd.Flags()) },
	}
	root.PersistentFlags().StringVar(&c.address, "address", defaultAddress, "where the node to drive listens")
	root.PersistentFlags().StringVar(&c.caFile, "ca-file", "", "the certificate of the authority that signed the node's (default: the authorities that this machine knows)")
	root.PersistentFlags().StringVar(&c.token, "token", "", "what a node beyond loopback asks for; SINGULARITY_TOKEN keeps it out of the list of processes")
	c.output = formatTable
	root.PersistentFlags().VarP(&c.output, "output", "o", "table, or json: one document, and nothing else on stdout")
	root.AddCommand(
		c.dev(),
		c.node(),
		group("workflow", "Look at the workflows that can be run", c.workflowList(), c.workflowShow()),
		group("run", "Start runs of workflows and look after them",
			c.runStart(), c.runList(), c.runGet(), c.runWait(), c.runCancel(), c.runRetry(), c.runScore(), c.runSteps()),
		group("batch", "Look after runs that were started together", c.batchGet(), c.batchClose()),
		group("queue", "Look after the queues in which runs wait for a slot",
			c.queueList(), c.queuePause(), c.queueResume(), c.queueSet()),
		c.send(),
		group("agent", "Look at the receivers of messages", c.agentList()),
		group("schedule", "Start runs at certain times",
			c.scheduleList(), c.scheduleCreate(), c.scheduleDelete(), c.schedulePause(), c.scheduleResume(), c.scheduleTrigger()),
		group("cluster", "Look after the nodes, and into them", c.clusterMembers(), c.clusterTakeovers(), c.clusterActors(), c.clusterDrain(), c.clusterKeys()),
		c.centralcloud(),
		group("certs", "Make the certificates by which nodes know each other", c.certsInit(), c.certsNode()),
		group("token", "Look after the tokens of the API, in the database of a node",
			c.tokenCreate(), c.tokenList(), c.tokenRevoke()),
		group("migrate", "Look after the schema of a Postgres database",
			c.migrateUp(), c.migrateDown(), c.migrateStatus(), c.migrateSQL(), c.migratePartition()),
		c.doctor(),
		c.bench(),
		c.version(),
	)
	return root
}

// group is a command that only holds others.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	names := make([]string, len(commands))
	for i, command := range commands {
		names[i] = command.Name()
	}
	parent := &cobra.Command{
		Use:   name,
		Short: short,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("which? one of: %s", strings.Join(names, ", "))
			}
			return fmt.Errorf("unknown command %q; expected one of: %s", args[0], strings.Join(names, ", "))
		},
	}
	parent.AddCommand(commands...)
	return parent
}

// act marks where the command line ends and the work begins: errors after it
// are not wrong usage.
func (c *cli) act(action func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c.acting = true
		return action(cmd.Context(), args)
	}
}

// call is act for commands that call a node.
func (c *cli) call(action func(ctx context.Context, node *client, args []string) error) func(*cobra.Command, []string) error {
	return c.act(func(ctx context.Context, args []string) error {
		node, err := c.client()
		if err != nil {
			return err
		}
		return action(ctx, node, args)
	})
}

// arguments accepts exactly the named ones.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) == 0:
			return fmt.Errorf("unexpected argument %q", args[0])
		default:
			return fmt.Errorf("expected %s, got %d arguments", strings.Join(names, " "), len(args))
		}
	}
}

// optional accepts the named argument, or none.
func optional(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("expected %s or nothing, got %d arguments", name, len(args))
		}
		return nil
	}
}

// named accepts one argument, which is the name of something.
func named(argument, something string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := arguments(argument)(cmd, args); err != nil {
			return err
		}
		if !workflow.ValidName(args[0]) {
			return fmt.Errorf("%q is not the name of %s; expected letters, digits and any of _-. after the first", args[0], something)
		}
		return nil
	}
}

// runID accepts the id of a run.
func runID(cmd *cobra.Command, args []string) error {
	if err := arguments("ID")(cmd, args); err != nil {
		return err
	}
	if _, err := workflow.ParseRunID(args[0]); err != nil {
		return fmt.Errorf("%q is not a run id; expected a UUID", args[0])
	}
	return nil
}

// readEnvironment sets the flags that are not on the command line from their
// environment variables.
func (c *cli) readEnvironment(flags *pflag.FlagSet) error {
	var problems []error
	flags.VisitAll(func(flag *pflag.Flag) {
		variable := variableOf(flag)
		value, found := c.env(variable)
		if !found || flag.Changed || flag.Name == "help" {
			return
		}
		if err := flags.Set(flag.Name, value); err != nil {
			problems = append(problems, fmt.Errorf("environment variable %s: %w", variable, err))
		}
	})
	return errors.Join(problems...)
}

// variableOf is the environment variable of a flag. Those that other programs
// know too have no prefix.
func variableOf(flag *pflag.Flag) string {
	name := strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
	switch name {
	case "DATABASE_URL", "INSTANCE_ID":
		return name
	default:
		return "SINGULARITY_" + name
	}
}

// document returns what a flag such as --input names: the JSON itself, @ and
// a file, or - for stdin.
func (c *cli) document(value string) ([]byte, error) {
	switch name, isFile := strings.CutPrefix(value, "@"); {
	case isFile:
		return os.ReadFile(name)
	case value == "-":
		return io.ReadAll(c.stdin)
	default:
		return []byte(value), nil
	}
}

// isTerminal reports whether a person reads what is written to w.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
