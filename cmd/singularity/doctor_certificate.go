package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"singularity/cluster/certs"
	"singularity/server"
)

// renewBefore is how long before its end a certificate should be renewed.
const renewBefore = 14 * 24 * time.Hour

// checkCertificate looks whether a node could show clients who it is.
func checkCertificate(dir string) (string, error) {
	certificate, err := server.LoadCertificate(dir)
	if err != nil {
		return "", fmt.Errorf("--tls-dir: %w", err)
	}
	return checkExpiry(certificate.Expires(), time.Now())
}

func checkExpiry(expires, now time.Time) (string, error) {
	if expires.Sub(now) < renewBefore {
		return "", fmt.Errorf("--tls-dir: node.crt is good until %s, which is less than %d days away; put a new one there, such as \"singularity certs node\" makes: a node that runs takes it up",
			expires.UTC().Format(time.RFC3339), renewBefore/(24*time.Hour))
	}
	return "good until " + expires.UTC().Format(time.RFC3339), nil
}

// checkIdentity looks whether the certificate that a node shows to others is for
// the address at which they reach it, if that is known.
func checkIdentity(identity *certs.Identity, advertised string) (string, error) {
	if _, err := checkExpiry(identity.Expires(), time.Now()); err != nil {
		return "", err
	}
	host, _, err := net.SplitHostPort(advertised)
	if err != nil || host == "" {
		return "", errors.New("there is no address for others; name one with --actors-advertise")
	}
	if err := identity.CheckHost(host); err != nil {
		return "", fmt.Errorf("others reach this node at %s, and its certificate is for something else: %w; make one with \"singularity certs node %s\"", host, err, host)
	}
	return fmt.Sprintf("of the cluster %s, for %s, under the authority in ca.crt", identity.Cluster(), host), nil
}
