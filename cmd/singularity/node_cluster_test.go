package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"singularity/internal/testcerts"
	"singularity/internal/testpostgres"
)

func TestNodeSaysWhichFlagOfItsClusterIsWrong(t *testing.T) {
	t.Parallel()
	database, foreign := testpostgres.URL(t), t.TempDir()
	testcerts.NewAuthority(t).Write(t, foreign, time.Now().Add(time.Hour))
	if err := os.Remove(filepath.Join(foreign, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	taken := portOf(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--gossip", taken}, "error: --gossip: "},
		{[]string{"--actors", taken}, "error: --actors: "},
		{[]string{"--gossip", "0.0.0.0:0"}, "error: --gossip: "},
		{[]string{"--actors", "0.0.0.0:0"}, "error: --actors: "},
		{[]string{"--tls-dir", foreign}, "error: --tls-dir: "},
	} {
		got := onDatabase(database, append([]string{"node", "--http", "127.0.0.1:0"}, test.args...)...).run(withTimeout(t))
		if got.code != exitRefused || !strings.HasPrefix(got.stderr, test.want) {
			t.Errorf("%v: got %+v, want it to begin with %q", test.args, got, test.want)
		}
	}
}
