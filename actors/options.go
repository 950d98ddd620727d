package actors

import (
	"cmp"

	"singularity/workflow"
)

// checkOptions refuses what a start cannot have.
func (n *Node) checkOptions(o workflow.Options, program *workflow.Program) error {
	if queue := cmp.Or(o.Queue, "default"); n.slots(queue) == 0 {
		return workflow.Invalidf("queue", "is %q; this node has %v", queue, n.queueNames())
	}
	if o.Priority < 0 || o.Priority > 9 {
		return workflow.Invalidf("priority", "is %d; expected 0 (first) to 9 (last)", o.Priority)
	}
	if len(o.Key) > workflow.MaxKey {
		return &workflow.LimitError{What: "key", Size: len(o.Key), Limit: workflow.MaxKey}
	}
	if storedText(o.Key) != o.Key {
		return workflow.Invalid("key", "is not text: it holds a zero byte or is not UTF-8")
	}
	if err := checkTimes(o); err != nil {
		return err
	}
	if err := checkTags(o.Tags); err != nil {
		return err
	}
	if program.Durability != workflow.Ephemeral {
		return nil
	}
	return checkEphemeral(o)
}

func checkTimes(o workflow.Options) error {
	switch {
	case o.Delay < 0:
		return workflow.Invalidf("delay", "is %s; expected a time from now", o.Delay)
	case o.Delay > 0 && !o.Due.IsZero():
		return workflow.Invalid("delay", "cannot be given together with due: a run has one time")
	case o.Deadline < 0:
		return workflow.Invalidf("deadline", "is %s; expected how long after it is due the run may end", o.Deadline)
	}
	return nil
}

func checkTags(tags []string) error {
	if len(tags) > workflow.MaxTags {
		return workflow.Invalidf("tags", "are %d; expected at most %d", len(tags), workflow.MaxTags)
	}
	for _, tag := range tags {
		if !workflow.ValidName(tag) {
			return workflow.Invalidf("tags", "has %q; expected letters, digits and any of _-. after the first", tag)
		}
	}
	return nil
}

// checkEphemeral refuses what takes a row.
func checkEphemeral(o workflow.Options) error {
	refuse := func(field, purpose string) error {
		return workflow.Invalid(field, "cannot be given for an ephemeral workflow: nothing is stored that "+purpose)
	}
	switch {
	case o.Key != "":
		return refuse("key", "it could find")
	case !o.Due.IsZero():
		return refuse("due", "could wait")
	case o.Delay > 0:
		return refuse("delay", "could wait")
	case o.Deadline > 0:
		return refuse("deadline", "could hold it")
	case len(o.Tags) > 0:
		return refuse("tags", "could be found by them")
	}
	return nil
}
