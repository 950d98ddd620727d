package certs

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestCertificateOutsideItsTimeIsRefused(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		from, until time.Duration
		expected    string
	}{
		{-time.Hour, time.Hour, ""}, {-2 * time.Hour, -time.Hour, "node.crt expired on"}, {time.Hour, 2 * time.Hour, "check the clock"},
	} {
		err := checkTime("node.crt", &x509.Certificate{NotBefore: now.Add(c.from), NotAfter: now.Add(c.until)})
		if c.expected == "" && err != nil || c.expected != "" && (err == nil || !strings.Contains(err.Error(), c.expected)) {
			t.Errorf("error %v, expected %q", err, c.expected)
		}
	}
}
