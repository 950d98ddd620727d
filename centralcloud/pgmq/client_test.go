//go:build npm

package pgmq_test

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
)

// The client is from the npm registry: `make clients` brings it and runs this.
func TestPublicClientFindsAllAsItShouldBe(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(testpostgres.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	address, err := json.Marshal(map[string]any{
		"host": config.Host, "port": config.Port, "database": config.Database, "user": config.User, "password": config.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := exec.CommandContext(t.Context(), "node", "client.mjs", string(address))
	client.Dir = "testdata/pgmq-js"
	printed, err := client.CombinedOutput()
	if err != nil {
		t.Errorf("node client.mjs: %v\n%s", err, printed)
	}
}
