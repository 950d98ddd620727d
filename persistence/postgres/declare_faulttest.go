//go:build faulttest

package postgres

import "os"

// The sessions of the dead can be left alone, to show that they do no harm.
func init() { evicting = os.Getenv("SINGULARITY_FAULT_EVICTION") != "off" }
