package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"singularity/server"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func serve(t *testing.T, engine server.Engine) (address string) {
	t.Helper()
	listening := httptest.NewServer(server.Handler(engine, server.Config{Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(listening.Close)
	return listening.URL
}

// call is one call of the program.
type call struct {
	args  []string
	stdin string
	env   map[string]string
}

type result struct {
	code           int
	stdout, stderr string
}

func (c call) run(ctx context.Context) result {
	var stdout, stderr bytes.Buffer
	env := func(name string) (string, bool) {
		value, found := c.env[name]
		return value, found
	}
	code := run(ctx, c.args, strings.NewReader(c.stdin), &stdout, &stderr, env)
	return result{code, stdout.String(), stderr.String()}
}

func at(address string, args ...string) call {
	return call{args: args, env: map[string]string{"SINGULARITY_ADDRESS": address}}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"workflow_list":            "workflow list",
		"workflow_list_json":       "workflow list -o json",
		"workflow_show":            "workflow show greet",
		"workflow_show_json":       "workflow show greet -o json",
		"workflow_show_unknown":    "workflow show great",
		"run_start":                `run start greet --input {"name":"Bob"} --key bob --queue metrics --priority 7 --id ` + newRun,
		"run_start_json":           `run start greet --input {"name":"Bob"} -o json --id ` + newRun,
		"run_start_wait":           `run start greet --input {"name":"Bob"} --wait --id ` + newRun,
		"run_start_wait_json":      `run start greet --input {"name":"Bob"} --wait -o json --id ` + newRun,
		"run_start_attached":       `run start greet --input {"name":"Bob"} --wait -o json --id ` + completedRun,
		"run_start_attached_fails": `run start greet --wait -o json --id ` + failedRun,
		"run_start_unknown":        "run start great",
		"run_start_bad_field":      `run start greet --input {"nome":"Bob"}`,
		"run_start_not_json":       `run start greet --input {"name":`,
		"run_start_no_file":        "run start greet --input @/no/such/file",
		"run_start_no_name":        "run start",
		"run_start_bad_id":         "run start greet --id seventeen",
		"run_start_bad_priority":   "run start greet --priority 10",
		"run_start_inputs":         "run start greet --inputs testdata/names.jsonl --tag bulk --id " + newRun,
		"run_start_inputs_json":    "run start greet --inputs testdata/names.jsonl -o json --id " + newRun,
		"run_start_inputs_refused": "run start greet --inputs testdata/nomes.jsonl --id " + newRun,
		"run_start_inputs_batch":   "run start greet --inputs testdata/names.jsonl --batch auto --on-end greet --id " + newRun,
		"run_start_inputs_on_end":  "run start greet --inputs testdata/names.jsonl --on-end greet",
		"run_start_batch_alone":    "run start greet --batch lab-1",
		"run_start_inputs_none":    "run start greet --inputs - -o json",
		"run_start_inputs_no_file": "run start greet --inputs /no/such/file",
		"run_start_inputs_wait":    "run start greet --inputs testdata/names.jsonl --wait",
		"run_list":                 "run list",
		"run_list_json":            "run list -o json",
		"run_list_filtered":        "run list --workflow greet --queue default --state completed,cancelled --limit 5",
		"run_list_none":            "run list --workflow nothing",
		"run_list_none_json":       "run list --workflow nothing -o json",
		"run_list_bad_state":       "run list --state executing",
		"run_list_bad_limit":       "run list --limit 0",
		"run_get":                  "run get " + completedRun,
		"run_get_json":             "run get -o json " + completedRun,
		"run_get_failed":           "run get " + failedRun,
		"run_get_hostile":          "run get " + runningRun,
		"run_get_missing":          "run get " + missingRun,
		"run_get_bad_id":           "run get seventeen",
		"run_wait":                 "run wait " + completedRun,
		"run_wait_json":            "run wait -o json " + completedRun,
		"run_wait_failed":          "run wait " + failedRun,
		"run_wait_missing":         "run wait " + missingRun,
		"run_cancel":               "run cancel --reason enough " + runningRun,
		"run_cancel_too_late":      "run cancel " + completedRun,
		"run_retry":                "run retry " + failedRun,
		"run_retry_json":           "run retry -o json " + failedRun,
		"run_list_more":            "run list --limit 1",
		"run_list_error":           "run list --error ink",
		"run_list_batch":           "run list --batch names",
		"batch_get":                "batch get names",
		"batch_get_json":           "batch get names -o json",
		"batch_get_open":           "batch get later",
		"batch_get_missing":        "batch get nomes",
		"batch_get_bad_name":       "batch get a/b",
		"batch_close":              "batch close later",
		"batch_close_json":         "batch close later -o json",
		"batch_close_again":        "batch close names",
		"run_list_bad_time":        "run list --created-after yesterday",
		"run_list_bad_before":      "run list --before seventeen",
		"run_cancel_which":         "run cancel",
		"run_cancel_both":          "run cancel --state waiting " + runningRun,
		"run_cancel_many":          "run cancel --state waiting --reason enough",
		"run_cancel_many_ended":    "run cancel --state completed",
		"run_retry_many":           "run retry --state failed --workflow greet",
		"run_retry_many_json":      "run retry --state failed --workflow greet -o json",
		"run_retry_many_dry":       "run retry --workflow greet --dry-run",
		"run_start_unique_bad":     "run start greet --unique colour",
		"run_start_unique_alone":   "run start greet --unique-for 1h",
		"run_start_unique_policy":  "run start greet --unique key --on-conflict shout",
		"run_score":                "run score " + failedRun + " quality 0.8",
		"run_score_again":          "run score " + failedRun + " tone 0",
		"run_score_json":           "run score -o json " + failedRun + " quality 1 --step polish",
		"run_score_bad_id":         "run score seventeen quality 1",
		"run_score_bad_name":       "run score " + failedRun + " how/good 1",
		"run_score_bad_value":      "run score " + failedRun + " quality good",
		"run_score_too_good":       "run score " + failedRun + " quality 80",
		"run_score_too_bad":        "run score " + failedRun + " quality -1",
		"run_score_what":           "run score " + failedRun,
		"run_score_missing":        "run score " + missingRun + " quality 1",
		"run_steps":                "run steps " + failedRun,
		"run_steps_json":           "run steps -o json " + failedRun,
		"queue_list":               "queue list",
		"queue_list_json":          "queue list -o json",
		"queue_pause":              "queue pause default",
		"queue_pause_json":         "queue pause default -o json",
		"queue_pause_again":        "queue pause metrics",
		"queue_pause_bad_name":     "queue pause -o json a/b",
		"queue_pause_new":          "queue pause metrcs",
		"queue_pause_new_json":     "queue pause metrcs -o json",
		"queue_resume_new":         "queue resume metrcs",
		"queue_set_new":            "queue set metrcs --limit 5",
		"queue_resume":             "queue resume metrics",
		"queue_resume_again":       "queue resume default",
		"queue_resume_which":       "queue resume",
		"queue_set":                "queue set metrics --limit 1 --global-limit 2 --key user.id --key-limit 3 --rate 300/m --burst 9 --key-rate 1000/h --key-burst 4",
		"queue_set_json":           "queue set default --rate 0.25/s -o json",
		"queue_set_off":            "queue set default --global-limit off --key off --key-limit off --rate off --key-rate off",
		"queue_set_same":           "queue set metrics --limit 10",
		"queue_set_nothing":        "queue set default",
		"queue_set_bad_limit":      "queue set default --global-limit 0",
		"queue_set_retention":      "queue set metrics --retain-completed 90m --retain-failed 90d",
		"queue_set_bad_retention":  "queue set metrics --retain-failed soon",
		"queue_set_bad_rate":       "queue set default --key-rate 5",
		"send":                     `send run/x ping --payload {"n":1}`,
		"agent_list":               "agent list",
		"agent_list_json":          "agent list -o json",
		"cluster_members":          "cluster members",
		"cluster_members_json":     "cluster members -o json",
		"cluster_takeovers":        "cluster takeovers",
		"cluster_takeovers_json":   "cluster takeovers --limit 1 -o json",
		"cluster_actors":           "cluster actors",
		"cluster_actors_json":      "cluster actors -o json",
		"cluster_actors_of":        "cluster actors node-2",
		"cluster_actors_unknown":   "cluster actors node-9",
		"cluster_actors_too_many":  "cluster actors node-1 node-2",
		"schedule_list":            "schedule list",
		"schedule_list_next":       "schedule list --next 2",
		"schedule_list_json":       "schedule list -o json",
		"schedule_list_bad_next":   "schedule list --next many",
		"schedule_create":          "schedule create hourly --workflow greet --cron @hourly --time-zone Asia/Tokyo --catch-up one --overlap skip --queue metrics --priority 3 --input {\"name\":\"Ada\"}",
		"schedule_create_json":     "schedule create hourly --workflow greet --cron @hourly -o json",
		"schedule_create_taken":    "schedule create nightly --workflow greet --cron @hourly",
		"schedule_create_no_cron":  "schedule create hourly --workflow greet",
		"schedule_create_no_flow":  "schedule create hourly --cron @hourly",
		"schedule_create_no_name":  "schedule create --cron @hourly",
		"schedule_delete":          "schedule delete nightly",
		"schedule_delete_json":     "schedule delete nightly -o json",
		"schedule_delete_unknown":  "schedule delete weekly",
		"schedule_pause":           "schedule pause nightly",
		"schedule_resume":          "schedule resume idle",
		"schedule_trigger_unknown": "schedule trigger weekly",
		"cluster_drain":            "cluster drain node-2",
		"cluster_drain_json":       "cluster drain -o json " + missingRun,
		"cluster_drain_unknown":    "cluster drain node-9",
		"cluster_drain_which":      "cluster drain",
		"cluster_keys_list":        "cluster keys list",
		"cluster_keys_list_json":   "cluster keys list -o json",
		"cluster_keys_use":         "cluster keys use 0a1b2c3d",
		"cluster_keys_use_bad":     "cluster keys use c2l4dGVlbiBieXRlcyA6KQ==",
		"cluster_keys_remove":      "cluster keys remove 0a1b2c3d -o json",
		"cluster_keys_remove_what": "cluster keys remove",
		"cluster_keys_add_no_file": "cluster keys add c2l4dGVlbiBieXRlcyA6KQ==",
		"cluster_keys_what":        "cluster keys",
		"no_verb":                  "run",
		"unknown_command":          "ran",
		"unknown_verb":             "run sing",
		"unknown_flag":             "run list --color",
		"unknown_format":           "run list -o xml",
		"too_many_arguments":       "agent list all",
		"bad_address":              "agent list --address ftp://localhost",
	}
	for name, line := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, engineWithAll())
			got := at(address, strings.Fields(line)...).run(t.Context())
			transcript := "$ singularity " + line + "\n" + got.stdout +
				"--- stderr\n" + got.stderr + "--- exit code " + strconv.Itoa(got.code) + "\n"
			golden(t, name, strings.ReplaceAll(transcript, address, "http://127.0.0.1:4000"))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update to write it", err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	var describe func(*cobra.Command)
	describe = func(command *cobra.Command) {
		args := strings.Fields(command.CommandPath() + " --help")[1:]
		got := call{args: args}.run(t.Context())
		if got.code != exitDone || got.stderr != "" {
			t.Errorf("%v: got exit code %d, stderr %q", args, got.code, got.stderr)
		}
		all.WriteString("$ singularity " + strings.Join(args, " ") + "\n" + got.stdout + "\n")
		for _, child := range command.Commands() {
			describe(child)
		}
	}
	describe(newCLI(nil, nil, nil, nil).root())
	golden(t, "help", all.String())
}

func TestCompletionIsPrinted(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := (call{args: []string{"completion", shell}}).run(t.Context()); got.code != exitDone || !strings.Contains(got.stdout, "singularity") {
			t.Errorf("%s: got exit code %d, stderr %q", shell, got.code, got.stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := call{args: []string{"version", "-o", "json"}}.run(t.Context())
	var b build
	if err := json.Unmarshal([]byte(got.stdout), &b); err != nil || b != thisBuild() {
		t.Errorf("got %q (%v), want %+v", got.stdout, err, thisBuild())
	}
	if got := (call{args: []string{"version"}}).run(t.Context()); !strings.HasPrefix(got.stdout, "singularity ") {
		t.Errorf("got %q, want a line", got.stdout)
	}
}

func TestFlagsHaveEnvironmentTwins(t *testing.T) {
	t.Parallel()
	address := serve(t, engineWithAll())
	tests := []struct {
		name, line string
		env        map[string]string
		code       int
		stdout     string
		stderr     string
	}{
		{"set", "run list --workflow nothing", map[string]string{"SINGULARITY_OUTPUT": "json"}, exitDone, "[]\n", ""},
		{"overruled by the flag", "run list --workflow nothing -o json", map[string]string{"SINGULARITY_OUTPUT": "table"}, exitDone, "[]\n", ""},
		{"of a command", "run start greet -o json", map[string]string{"SINGULARITY_WAIT": "true", "SINGULARITY_INPUT": `{"name":"Ada"}`}, exitDone, `{"name":"Ada"}` + "\n", ""},
		{"bad", "run list", map[string]string{"SINGULARITY_LIMIT": "many"}, exitUsage, "", "SINGULARITY_LIMIT"},
		{"of another command", "run list --workflow nothing -o json", map[string]string{"SINGULARITY_PRIORITY": "many"}, exitDone, "[]\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.env["SINGULARITY_ADDRESS"] = address
			got := call{args: strings.Fields(test.line), env: test.env}.run(t.Context())
			if got.code != test.code || got.stdout != test.stdout || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
