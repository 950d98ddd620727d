//go:build !crashtest

package main

import "singularity/workflow"

// planted lists workflows that only the crash tests run.
func planted(Ledger) []workflow.Definition { return nil }
