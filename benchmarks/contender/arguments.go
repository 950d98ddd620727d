package contender

import (
	"flag"
	"fmt"
	"strconv"
)

// Command is the first argument of a program that does [Serve]; what
// [Arguments] makes follows it.
const Command = "contend"

// Arguments tell the process of a contender who it is and what its job is.
// assets is where it finds what its program cannot bring.
func Arguments(name string, job Job, assets string) []string {
	return []string{
		Command,
		"-contender", name,
		"-database-url", job.DatabaseURL,
		"-state-bytes", strconv.Itoa(job.StateBytes),
		"-max-in-flight", strconv.Itoa(job.MaxInFlight),
		"-assets", assets,
	}
}

// ParseArguments reads what [Arguments] made, without the [Command].
func ParseArguments(arguments []string) (name string, job Job, assets string, err error) {
	flags := flag.NewFlagSet(Command, flag.ContinueOnError)
	flags.StringVar(&name, "contender", "", "who this is")
	flags.StringVar(&job.DatabaseURL, "database-url", "", "an empty database")
	flags.IntVar(&job.StateBytes, "state-bytes", 0, "the size of a workflow's state as JSON")
	flags.IntVar(&job.MaxInFlight, "max-in-flight", 0, "how many workflows will be under way at once")
	flags.StringVar(&assets, "assets", "", "where files of this contender lie")
	if err := flags.Parse(arguments); err != nil {
		return "", Job{}, "", err
	}
	if name == "" || job.DatabaseURL == "" || job.StateBytes < 1 || job.MaxInFlight < 1 {
		return "", Job{}, "", fmt.Errorf("%s needs a contender, a database, a size and a number in flight; the benchmarks start it", Command)
	}
	return name, job, assets, nil
}
