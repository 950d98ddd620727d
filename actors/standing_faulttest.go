//go:build faulttest

package actors

import (
	"os"
	"time"
)

// A node that never fences itself shows that the store does without.
func init() {
	text := os.Getenv("SINGULARITY_FAULT_FENCE_AFTER")
	if text == "" {
		return
	}
	after, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	fenceAfter = after
}
