package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/server"
	"singularity/server/servertest"
	"singularity/workflow"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// api is a served engine.
type api struct {
	url    string
	client *http.Client
	engine *servertest.Engine
}

func serve(t *testing.T, engine *servertest.Engine) api {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	listening := httptest.NewServer(server.Handler(engine, server.Config{Logger: quiet}))
	t.Cleanup(listening.Close)
	return api{listening.URL, listening.Client(), engine}
}

// answer is a whole response.
type answer struct {
	code   int
	status string
	header http.Header
	body   []byte
}

// post calls a procedure as curl would.
func (a api) post(t *testing.T, procedure, body string) answer {
	t.Helper()
	return a.do(t, request(t, http.MethodPost, a.url+"/singularity.v1."+procedure, strings.NewReader(body)))
}

func (a api) do(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := a.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Status, response.Header, body}
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

type greeting struct {
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

func greet(_ context.Context, g *greeting) error {
	g.Text = "Hello, " + g.Name
	return nil
}

var greeter = workflow.Compile(workflow.New("greet",
	workflow.Do("compose", greet).Timeout(90*time.Second).Retry(workflow.Retry{Attempts: 2}),
	workflow.Loop("polish", func(context.Context, *greeting) (bool, error) { return true, nil }),
))

// engineWithAll has something of everything that the API shows.
func engineWithAll() *servertest.Engine {
	later := servertest.Epoch.Add(1500 * time.Millisecond)
	engine := &servertest.Engine{
		Programs: []*workflow.Program{greeter},
		Events: []workflow.Event{
			{Kind: workflow.StepStarted, Step: "compose", Attempt: 1},
			{Kind: workflow.StepProgress, Step: "compose", Attempt: 1, Progress: json.RawMessage(`{"words":2}`)},
			{Kind: workflow.StepAttemptFailed, Step: "compose", Attempt: 1, Error: "no ink", Retry: time.Second, Elapsed: 20 * time.Millisecond},
			{Kind: workflow.StepFinished, Step: "polish[3]", Attempt: 2, Elapsed: 1500 * time.Millisecond},
		},
		History: []workflow.StepRun{
			{Seq: 1, Step: "compose", Attempt: 1, Outcome: workflow.StepFailed, Epoch: 1, Owner: "node-1", Error: "no ink",
				Facts:     []workflow.Fact{{Kind: "ink", Doc: json.RawMessage(`{"left":0.10}`), At: servertest.Epoch}},
				StartedAt: servertest.Epoch, FinishedAt: later},
			{Seq: 2, Step: "polish", Turn: 3, Attempt: 2, Outcome: workflow.StepCompleted, Epoch: 1, Owner: "node-1",
				Facts: []workflow.Fact{{Kind: "model_call", Doc: json.RawMessage(`{"provider":"simulated","model":"simulated-small"}`),
					At: servertest.Epoch, Scores: map[string]float64{"tone": 1}}},
				State: json.RawMessage(`{"name":"Ada","text":"Hello, Ada"}`), StartedAt: servertest.Epoch, FinishedAt: later},
		},
		Reply: json.RawMessage(`{"pong":12345678901234567890}`),
		AgentList: []workflow.Agent{
			{Name: "scribe", Kind: "attached", Home: "node-1", Live: true, Waiting: 2, RegisteredAt: servertest.Epoch},
		},
		Deliveries: []workflow.Delivery{
			{Message: workflow.Message{Agent: "scribe", ID: "m1", Source: "echo", Type: "note", Payload: json.RawMessage(`{"n":1.0}`)}, ArrivedAt: servertest.Epoch},
		},
		MemberList: []*messages.Member{
			{InstanceId: "node-1", Hostname: "host", Pid: 4711, Status: "online", Load: 3, CapabilitiesJson: `{"llm":true}`,
				LastHeartbeat: timestamppb.New(later), CreatedAt: timestamppb.New(servertest.Epoch), Version: "v1.2.3", Boot: "b1"},
		},
		ScheduleList: []workflow.Schedule{
			{ScheduleSpec: workflow.ScheduleSpec{Name: "idle", Workflow: "greet", Cron: "@every 90s", TimeZone: "UTC", Queue: "default",
				CatchUp: workflow.CatchUpAll, Overlap: workflow.OverlapSkip}, PausedAt: &later, LastError: "no ink", CreatedAt: servertest.Epoch, UpdatedAt: later},
			{ScheduleSpec: workflow.ScheduleSpec{Name: "nightly", Workflow: "greet", Cron: "30 2 * * *", TimeZone: "Europe/Berlin",
				Input: json.RawMessage(`{"name":"Ada"}`), Queue: "metrics", Priority: 3, CatchUp: workflow.CatchUpSkip, Overlap: workflow.OverlapAllow},
				LastSlot: &servertest.Epoch, LastRun: workflow.RunID{0x01, 0x93}, NextSlot: &later, CreatedAt: servertest.Epoch, UpdatedAt: servertest.Epoch},
		},
		TakeoverList: []*messages.Takeover{
			{Boot: "b0", InstanceId: "node-0", Judge: "b1", DetectedBy: "gossip", Ground: "lapsed",
				SuspectedAt: timestamppb.New(servertest.Epoch), DeclaredAt: timestamppb.New(later), Released: 3, Quarantined: 1,
				ClaimedAt: timestamppb.New(later), ResumedAt: timestamppb.New(later)},
			{Boot: "b00", InstanceId: "node-0", DetectedBy: "join", Ground: "crashed",
				SuspectedAt: timestamppb.New(servertest.Epoch), DeclaredAt: timestamppb.New(servertest.Epoch)},
		},
		KeyList: []*messages.NodeKeys{
			{InstanceId: "node-1", Boot: "b1", Primary: "0a1b2c3d", Others: []string{"4e5f6071"}},
			{InstanceId: "node-2", Boot: "b2", Error: "node unreachable"},
		},
		QueueList: []workflow.Queue{
			{Name: "default", Slots: 10, Available: 4, Running: 10, Scheduled: 2, Retryable: 1, Oldest: 1500 * time.Millisecond,
				Settings: workflow.QueueSettings{NodeLimit: 10, GlobalLimit: 20, KeyPath: "user.id", KeyLimit: 2, Rate: 2.5, Burst: 7, KeyRate: 0.5, KeyBurst: 3}},
			{Name: "metrics", PausedAt: &servertest.Epoch},
		},
		Tree: &messages.Actor{Name: "root", Pid: "root", Strategy: "one_for_one", State: "running", Children: []*messages.Actor{
			{Name: "journal", Pid: "root/journal", State: "running", Restarts: 1, Mailbox: 4,
				LastFailure: "panic: out of ink", LastFailureAt: timestamppb.New(servertest.Epoch)},
			{Name: "runs", Pid: "root/runs", Strategy: "one_for_one", State: "running", More: 17},
		}},
	}
	engine.Put(workflow.Run{
		ID: someRun, Workflow: "greet", Version: 1, State: workflow.Completed, Queue: "default", Priority: 3, Key: "ada", Epoch: 2,
		Owner: "node-1", Input: json.RawMessage(`{"name":"Ada","seen":12345678901234567890}`), Output: json.RawMessage(`{"text":"Hello, <Ada>","score":1.0}`),
		CreatedAt: servertest.Epoch, DueAt: servertest.Epoch, StartedAt: &servertest.Epoch, FinishedAt: &later,
	})
	engine.Put(workflow.Run{
		ID: workflow.RunID{0x01, 0x94}, Workflow: "greet", Version: 1, State: workflow.Failed, Queue: "default", Step: "polish", Turn: 7, Attempt: 5,
		Epoch: 3, Crashes: 1, Error: "not UTF-8: \xff", Input: json.RawMessage(`{}`), CreatedAt: servertest.Epoch, DueAt: later,
	})
	return engine
}

func TestResponses(t *testing.T) {
	t.Parallel()
	const failed = "01940000-0000-0000-0000-000000000000"
	tests := []struct{ name, procedure, body string }{
		{"start_run", "RunService/StartRun", `{"workflow": "greet", "inputJson": "{\"name\": \"Bob\"}", "id": "01950000-0000-0000-0000-000000000000", "key": "bob", "queue": "q", "priority": 9}`},
		{"start_run_attached", "RunService/StartRun", `{"workflow": "greet", "inputJson": "{}", "id": "` + someRun.String() + `"}`},
		{"start_run_bad_field", "RunService/StartRun", `{"workflow": "greet", "inputJson": "{\"nome\": \"Bob\"}"}`},
		{"start_run_bad_id", "RunService/StartRun", `{"workflow": "greet", "inputJson": "{}", "id": "seventeen"}`},
		{"start_runs", "RunService/StartRuns", `{"runs": [{"workflow": "greet", "inputJson": "{\"name\": \"Bob\"}", "id": "01950000-0000-0000-0000-000000000000"}, {"workflow": "greet", "inputJson": "{}", "id": "` + someRun.String() + `"}]}`},
		{"start_runs_batch", "RunService/StartRuns", `{"batch": {"id": "lab-1", "onEnd": "greet", "last": true}, "runs": [{"workflow": "greet", "inputJson": "{\"name\": \"Bob\"}", "id": "01950000-0000-0000-0000-000000000001"}]}`},
		{"start_runs_bad_batch", "RunService/StartRuns", `{"batch": {"id": "lab 1"}}`},
		{"start_runs_none", "RunService/StartRuns", `{}`},
		{"start_runs_bad_field", "RunService/StartRuns", `{"runs": [{"workflow": "greet", "inputJson": "{}"}, {"workflow": "greet", "inputJson": "{\"nome\": \"Bob\"}"}]}`},
		{"start_runs_bad_id", "RunService/StartRuns", `{"runs": [{"workflow": "greet", "inputJson": "{}", "id": "seventeen"}]}`},
		{"get_run", "RunService/GetRun", `{"id": "` + someRun.String() + `"}`},
		{"get_run_not_utf8", "RunService/GetRun", `{"id": "` + failed + `"}`},
		{"get_run_bad_id", "RunService/GetRun", `{}`},
		{"list_runs", "RunService/ListRuns", `{}`},
		{"list_runs_filtered", "RunService/ListRuns", `{"workflow": "greet", "states": ["completed", "cancelled"], "queue": "default", "key": "ada", "limit": 5, "before": "` + failed + `"}`},
		{"list_runs_bad_state", "RunService/ListRuns", `{"states": ["executing"]}`},
		{"list_steps", "RunService/ListSteps", `{"id": "` + someRun.String() + `"}`},
		{"cancel_run", "RunService/CancelRun", `{"id": "` + failed + `", "reason": "enough"}`},
		{"cancel_run_too_late", "RunService/CancelRun", `{"id": "` + someRun.String() + `"}`},
		{"retry_run", "RunService/RetryRun", `{"id": "` + failed + `"}`},
		{"score_run", "RunService/ScoreRun", `{"id": "` + someRun.String() + `", "name": "quality", "value": 0.8}`},
		{"score_run_bad_name", "RunService/ScoreRun", `{"id": "` + someRun.String() + `", "name": "how good", "value": 0.8}`},
		{"score_run_bad_value", "RunService/ScoreRun", `{"id": "` + someRun.String() + `", "name": "quality", "value": 80}`},
		{"score_run_bad_id", "RunService/ScoreRun", `{"name": "quality", "value": 0.8}`},
		{"list_runs_paged", "RunService/ListRuns", `{"limit": 1}`},
		{"list_runs_bad_next", "RunService/ListRuns", `{"before": "seventeen"}`},
		{"cancel_runs_all", "RunService/CancelRuns", `{"runs": {"limit": 5}}`},
		{"cancel_runs_ended", "RunService/CancelRuns", `{"runs": {"states": ["completed"]}}`},
		{"retry_runs", "RunService/RetryRuns", `{"runs": {"workflow": "greet", "limit": 5}}`},
		{"retry_runs_dry", "RunService/RetryRuns", `{"runs": {"errorContains": "UTF"}, "dryRun": true}`},
		{"start_run_unique_by_nothing", "RunService/StartRun", `{"workflow": "greet", "inputJson": "{}", "unique": {"by": ["colour"]}}`},
		{"list_workflows", "WorkflowService/ListWorkflows", `{}`},
		{"get_workflow", "WorkflowService/GetWorkflow", `{"name": "greet"}`},
		{"get_workflow_unknown", "WorkflowService/GetWorkflow", `{"name": "great"}`},
		{"send", "ActorService/Send", `{"pid": "run/x", "type": "ping", "payloadJson": "{}"}`},
		{"get_actor_tree", "ActorService/GetActorTree", `{}`},
		{"get_actor_tree_unknown", "ActorService/GetActorTree", `{"node": "node-9"}`},
		{"list_members", "ClusterService/ListMembers", `{}`},
		{"list_takeovers", "ClusterService/ListTakeovers", `{}`},
		{"list_takeovers_limited", "ClusterService/ListTakeovers", `{"limit": 1}`},
		{"drain_node", "ClusterService/DrainNode", `{"node": "b1"}`},
		{"drain_node_unknown", "ClusterService/DrainNode", `{"node": "node-9"}`},
		{"drain_node_none", "ClusterService/DrainNode", `{}`},
		{"list_keys", "ClusterService/ListKeys", `{}`},
		{"add_key", "ClusterService/AddKey", `{"key": "c2l4dGVlbiBieXRlcyA6KQ=="}`},
		{"use_key", "ClusterService/UseKey", `{"fingerprint": "0a1b2c3d"}`},
		{"remove_key", "ClusterService/RemoveKey", `{"fingerprint": "0a1b2c3d"}`},
		{"list_queues", "QueueService/ListQueues", `{}`},
		{"pause_queue", "QueueService/PauseQueue", `{"name": "default"}`},
		{"pause_queue_again", "QueueService/PauseQueue", `{"name": "metrics"}`},
		{"pause_queue_bad_name", "QueueService/PauseQueue", `{"name": "a b"}`},
		{"resume_queue", "QueueService/ResumeQueue", `{"name": "metrics"}`},
		{"resume_queue_again", "QueueService/ResumeQueue", `{"name": "default"}`},
		{"resume_queue_none", "QueueService/ResumeQueue", `{}`},
		{"set_queue", "QueueService/SetQueue", `{"name": "metrics", "nodeLimit": 1, "globalLimit": 2, "keyPath": "tenant", "keyLimit": 3, "rate": 4.5, "burst": 6, "keyRate": 7.5, "keyBurst": 8, "retainCompletedSeconds": 90, "retainFailedSeconds": 7776000}`},
		{"set_queue_some", "QueueService/SetQueue", `{"name": "default", "rate": 0, "burst": 0, "keyPath": ""}`},
		{"set_queue_bad_name", "QueueService/SetQueue", `{"globalLimit": 2}`},
		{"list_schedules", "ScheduleService/ListSchedules", `{"next": 2}`},
		{"create_schedule", "ScheduleService/CreateSchedule", `{"spec": {"name": "hourly", "workflow": "greet", "cron": "@hourly", "inputJson": "{}", "priority": 3}}`},
		{"create_schedule_taken", "ScheduleService/CreateSchedule", `{"spec": {"name": "nightly", "workflow": "greet", "cron": "@hourly"}}`},
		{"delete_schedule", "ScheduleService/DeleteSchedule", `{"name": "nightly"}`},
		{"delete_schedule_unknown", "ScheduleService/DeleteSchedule", `{"name": "weekly"}`},
		{"pause_schedule", "ScheduleService/PauseSchedule", `{"name": "nightly"}`},
		{"resume_schedule", "ScheduleService/ResumeSchedule", `{"name": "nightly"}`},
		{"trigger_schedule", "ScheduleService/TriggerSchedule", `{"name": "nightly", "runId": "01960000-0000-0000-0000-000000000000"}`},
		{"list_agents", "AgentService/ListAgents", `{}`},
		{"acknowledge", "AgentService/Acknowledge", `{"agent": "scribe", "messageId": "m1"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := serve(t, engineWithAll()).post(t, test.procedure, test.body)
			golden(t, test.name, got.status, got.body)
		})
	}
}

// golden compares an answer with a file. Protobuf's JSON has whitespace at
// random, so the file has its own.
func golden(t *testing.T, name, status string, body []byte) {
	t.Helper()
	got := bytes.NewBufferString(status + "\n")
	if err := json.Indent(got, body, "", "  "); err != nil {
		t.Fatalf("%s is not JSON: %v", body, err)
	}
	got.WriteString("\n")
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update to write it", err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestBodyThatIsNotJSONIsRefused(t *testing.T) {
	t.Parallel()
	got := serve(t, engineWithAll()).post(t, "RunService/StartRun", `{"workflow": `)
	if got.code != http.StatusBadRequest || decodeError(t, got.body).Code != "invalid_argument" {
		t.Errorf("got %s %s, want 400", got.status, got.body)
	}
}

func TestReadsWorkByGet(t *testing.T) {
	t.Parallel()
	served := serve(t, engineWithAll())
	got := served.do(t, request(t, http.MethodGet, served.url+"/singularity.v1.WorkflowService/GetWorkflow?encoding=json&message=%7B%22name%22%3A%22greet%22%7D", http.NoBody))
	if got.code != http.StatusOK {
		t.Errorf("got %s %s, want 200", got.status, got.body)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path string
		notReady   error
		status     int
		body       string
	}{
		{"live", "/livez", nil, 200, "ok\n"},
		{"live while draining", "/livez", workflow.ErrDraining, 200, "ok\n"},
		{"ready", "/readyz", nil, 200, "ready\n"},
		{"not ready", "/readyz", workflow.ErrDraining, 503, "not ready: engine is draining\n"},
		{"nothing there", "/nowhere", nil, 404, `{"code":"unimplemented","message":"nothing is served at /nowhere"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			served := serve(t, &servertest.Engine{NotReady: test.notReady})
			got := served.do(t, request(t, http.MethodGet, served.url+test.path, http.NoBody))
			if got.code != test.status || string(got.body) != test.body {
				t.Errorf("got %d %q, want %d %q", got.code, got.body, test.status, test.body)
			}
		})
	}
}

func TestWhatHasNoAPITellsOnlyHowItFares(t *testing.T) {
	t.Parallel()
	handler := server.HealthHandler(&servertest.Engine{NotReady: workflow.ErrDraining}, server.Config{})
	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 503, "/metrics": 200, "/": 404, "/singularity.v1.RunService/ListRuns": 404,
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+path, http.NoBody))
		if recorder.Code != want {
			t.Errorf("%s: got %d, want %d", path, recorder.Code, want)
		}
	}
	foreign := httptest.NewRecorder()
	handler.ServeHTTP(foreign, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/metrics", http.NoBody))
	if foreign.Code != http.StatusForbidden {
		t.Errorf("by a foreign name: got %d, want 403", foreign.Code)
	}
}

func TestRootSaysHowToDriveIt(t *testing.T) {
	t.Parallel()
	served := serve(t, &servertest.Engine{})
	got := served.do(t, request(t, http.MethodGet, served.url, http.NoBody))
	if !strings.Contains(string(got.body), "singularity --address "+served.url) {
		t.Errorf("got %q, want the command to use", got.body)
	}
}

func TestPanicOfAHandlerIsAnswered(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	panicking := panickingEngine{&servertest.Engine{}}
	listening := httptest.NewServer(server.Handler(panicking, server.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	defer listening.Close()
	served := api{url: listening.URL, client: listening.Client()}

	got := served.post(t, "WorkflowService/ListWorkflows", `{}`)

	if got.code != http.StatusInternalServerError || strings.Contains(string(got.body), "out of ink") {
		t.Errorf("got %d %s, want 500 without the panic's text", got.code, got.body)
	}
	if !strings.Contains(log.String(), "out of ink") || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("got log %q, want the panic with its stack", log.String())
	}
}

type panickingEngine struct{ *servertest.Engine }

func (panickingEngine) Workflows() []*workflow.Program { panic("out of ink") }
