package main

import (
	"fmt"
	"time"

	"singularity/server"
)

// checkCertificate looks whether a node could show who it is.
func checkCertificate(dir string) (string, error) {
	certificate, err := server.LoadCertificate(dir)
	if err != nil {
		return "", fmt.Errorf("--tls-dir: %w", err)
	}
	return "good until " + certificate.Expires().UTC().Format(time.RFC3339), nil
}
