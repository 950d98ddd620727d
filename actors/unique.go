package actors

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"singularity/persistence"
	"singularity/workflow"
)

// checkUnique refuses what cannot be unique: key is what the run has, by the
// caller or by its workflow.
func checkUnique(unique workflow.Unique, key string, durability workflow.Durability) error {
	switch {
	case unique == workflow.Unique{}:
		return nil
	case durability == workflow.Ephemeral:
		return workflow.Invalid("unique", "cannot be given for an ephemeral workflow: nothing is stored that it could find")
	case !unique.By.Valid():
		return workflow.Invalid("unique.by", "names nothing; expected any of workflow, queue, key, input")
	case unique.By&workflow.ByKey != 0 && key == "":
		return workflow.Invalid("unique.by", "has key, but the run has none; give it one")
	case unique.Within < 0:
		return workflow.Invalidf("unique.within", "is %s; expected a time from now, or none for as long as the run has not ended", unique.Within)
	case unique.OnConflict != "" && !slices.Contains(workflow.OnConflicts, unique.OnConflict):
		return workflow.Invalidf("unique.on_conflict", "is %q; expected one of %v", unique.OnConflict, workflow.OnConflicts)
	default:
		return nil
	}
}

// uniqueOf is what a store needs to keep an insert the only one; nil when it
// need not be.
func uniqueOf(unique workflow.Unique, insert persistence.Insert) *persistence.Unique {
	if unique.By == 0 {
		return nil
	}
	if unique.OnConflict == "" {
		unique.OnConflict = workflow.Attach
	}
	return &persistence.Unique{
		Key: uniqueKey(unique.By, insert), By: unique.By, Within: unique.Within, OnConflict: unique.OnConflict,
	}
}

// uniqueKey is a hash of what an insert is unique by. Other sets of the same
// things, and the same text in other places, have other keys.
func uniqueKey(by workflow.UniqueBy, insert persistence.Insert) [32]byte {
	parts := []byte{byte(by)}
	for _, part := range []struct {
		by    workflow.UniqueBy
		value string
	}{
		{workflow.ByWorkflow, insert.Workflow},
		{workflow.ByQueue, insert.Queue},
		{workflow.ByKey, insert.Key},
		{workflow.ByInput, string(insert.InputHash[:])},
	} {
		if by&part.by != 0 {
			parts = binary.BigEndian.AppendUint32(parts, uint32(len(part.value)))
			parts = append(parts, part.value...)
		}
	}
	return sha256.Sum256(parts)
}

// replaced lets those know that wait for a run which made way for another.
func (n *Node) replaced(run *workflow.Run) {
	if run == nil {
		return
	}
	n.log.Debug("a run made way for another that is to be the only one", "run", run.ID, "reason", run.Reason)
	n.cancelled(*run)
}
