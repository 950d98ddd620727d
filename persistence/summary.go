package persistence

import (
	"encoding/json"
	"fmt"

	"singularity/workflow"
)

// EncodeSummary is how stores write a summary; nil is nil.
func EncodeSummary(summary *workflow.Summary) ([]byte, error) {
	if summary == nil {
		return nil, nil
	}
	document, err := json.Marshal(summary)
	if err != nil {
		return nil, fmt.Errorf("%w: summary: %w", ErrBadWrite, err)
	}
	return document, nil
}

// DecodeSummary reads what [EncodeSummary] returned.
func DecodeSummary(document []byte) (*workflow.Summary, error) {
	if document == nil {
		return nil, nil
	}
	summary := new(workflow.Summary)
	if err := json.Unmarshal(document, summary); err != nil {
		return nil, fmt.Errorf("stored summary: %w", err)
	}
	return summary, nil
}
