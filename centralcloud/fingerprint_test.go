package centralcloud_test

import (
	"strings"
	"testing"

	"singularity/centralcloud"
)

func TestErrorsOfOneKindHaveOneFingerprint(t *testing.T) {
	t.Parallel()
	for _, kind := range [][]string{
		{
			`openai: rate_limit (HTTP 429): limit reached for org-aB12 on requests: 60 of 60`,
			`openai: rate_limit (HTTP 429): limit reached for org-9z on requests:  500 of 500`,
		},
		{`no key "alpha beta" in answer`, `no key "" in answer`},
		{`open /var/lib/a/b.json: denied`, `open /home/x.json: denied`},
		{`dial tcp 10.0.0.1:443: refused`, `dial tcp 192.168.7.20:8443: refused`},
		{`request 9f8e7d6c-0000-4a4a-b1b1-123456789abc failed`, `request 12ab34cd failed`},
		{strings.Repeat("long ", 1000) + "one", strings.Repeat("long ", 1000) + "other"},
	} {
		first := centralcloud.Fingerprint("c", kind[0])
		if len(first) != 16 {
			t.Errorf("the fingerprint is %q, want 16 digits", first)
		}
		if got := centralcloud.Fingerprint("c", kind[1]); got != first {
			t.Errorf("%q and %q: fingerprints differ", kind[0], kind[1])
		}
	}
}

func TestErrorsOfOtherKindsHaveOtherFingerprints(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, kind := range [][2]string{
		{"c", "connection refused"}, {"c", "connection reset"}, {"d", "connection refused"}, {"c", "connection refused 7"}, {"c", ""},
	} {
		digits := centralcloud.Fingerprint(kind[0], kind[1])
		if other, found := seen[digits]; found {
			t.Errorf("%q has the fingerprint of %q", kind, other)
		}
		seen[digits] = kind[1]
	}
}
