package main

import (
	"context"
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/server/servertest"
	"singularity/workflow"
)

const (
	completedRun = "01930000-0000-0000-0000-000000000000"
	failedRun    = "01940000-0000-0000-0000-000000000000"
	runningRun   = "01950000-0000-0000-0000-000000000000"
	newRun       = "01960000-0000-0000-0000-000000000000"
	missingRun   = "01970000-0000-0000-0000-000000000000"
)

type greeting struct {
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

var greeter = workflow.Compile(workflow.New("greet",
	workflow.Do("compose", func(context.Context, *greeting) error { return nil }).Timeout(90*time.Second).Retry(workflow.Retry{Attempts: 2}),
	workflow.Loop("polish", func(context.Context, *greeting) (bool, error) { return true, nil }),
))

func id(text string) workflow.RunID {
	parsed, err := workflow.ParseRunID(text)
	if err != nil {
		panic(err)
	}
	return parsed
}

// engineWithAll has something of everything that the program shows.
func engineWithAll() *servertest.Engine {
	later := servertest.Epoch.Add(1500 * time.Millisecond)
	engine := &servertest.Engine{
		Programs: []*workflow.Program{greeter},
		History: []workflow.StepRun{
			{Seq: 1, Step: "compose", Attempt: 1, Outcome: workflow.StepFailed, Epoch: 1, Owner: "node-1", Error: "no ink\nat all",
				Facts:     []workflow.Fact{{Kind: "ink", Doc: json.RawMessage(`{"left":0.10}`), At: servertest.Epoch}},
				StartedAt: servertest.Epoch, FinishedAt: later},
			{Seq: 2, Step: "polish", Turn: 3, Attempt: 2, Outcome: workflow.StepCompleted, Epoch: 1, Owner: "node-1",
				Facts: []workflow.Fact{{Kind: "model_call", Doc: json.RawMessage(`{"provider":"simulated","model":"simulated-small"}`),
					At: servertest.Epoch, Scores: map[string]float64{"tone": 1, "length": 0.25}}},
				State: json.RawMessage(`{"name":"Ada","text":"Hello, <Ada>"}`), StartedAt: servertest.Epoch, FinishedAt: later},
		},
		Reply: json.RawMessage(`{"pong":12345678901234567890}`),
		AgentList: []workflow.Agent{
			{Name: "echo", Kind: "go", Home: "node-1", Live: true, RegisteredAt: servertest.Epoch},
			{Name: "scribe", Kind: "attached", Home: "node-1", Waiting: 2, RegisteredAt: servertest.Epoch},
		},
		MemberList: []*messages.Member{
			{InstanceId: "node-1", Hostname: "host", Pid: 4711, Status: "online", Load: 3, CapabilitiesJson: `{"llm":true}`,
				LastHeartbeat: timestamppb.New(later), CreatedAt: timestamppb.New(servertest.Epoch), Version: "v1.2.3", Boot: newRun},
			{InstanceId: "node-2", Hostname: "host", Pid: 4712, Status: "offline", CapabilitiesJson: `{}`,
				LastHeartbeat: timestamppb.New(servertest.Epoch), CreatedAt: timestamppb.New(servertest.Epoch), Boot: missingRun},
		},
		TakeoverList: []*messages.Takeover{
			{Boot: missingRun, InstanceId: "node-2", Judge: newRun, DetectedBy: "refused", Ground: "crashed",
				SuspectedAt: timestamppb.New(servertest.Epoch), DeclaredAt: timestamppb.New(servertest.Epoch.Add(7 * time.Millisecond)),
				Released: 12, Quarantined: 1, ClaimedAt: timestamppb.New(servertest.Epoch.Add(9 * time.Millisecond)), ResumedAt: timestamppb.New(later)},
			{Boot: completedRun, InstanceId: "node-2", DetectedBy: "join", Ground: "lapsed",
				SuspectedAt: timestamppb.New(servertest.Epoch), DeclaredAt: timestamppb.New(servertest.Epoch)},
		},
		ScheduleList: []workflow.Schedule{
			{ScheduleSpec: workflow.ScheduleSpec{Name: "idle", Workflow: "greet", Cron: "@every 90s", TimeZone: "UTC", Input: json.RawMessage(`{}`),
				Queue: "default", CatchUp: workflow.CatchUpAll, Overlap: workflow.OverlapSkip},
				PausedAt: &later, LastError: "step compose:\nno ink", CreatedAt: servertest.Epoch, UpdatedAt: later},
			{ScheduleSpec: workflow.ScheduleSpec{Name: "nightly", Workflow: "greet", Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Input: json.RawMessage(`{"name":"Ada"}`),
				Queue: "metrics", Priority: 3, CatchUp: workflow.CatchUpSkip, Overlap: workflow.OverlapAllow},
				LastSlot: &servertest.Epoch, LastRun: id(completedRun), NextSlot: &later, CreatedAt: servertest.Epoch, UpdatedAt: servertest.Epoch},
		},
		KeyList: []*messages.NodeKeys{
			{InstanceId: "node-1", Boot: newRun, Primary: "0a1b2c3d", Others: []string{"4e5f6071", "8293a4b5"}},
			{InstanceId: "node-2", Boot: missingRun, Primary: "4e5f6071", Others: []string{"0a1b2c3d"}},
			{InstanceId: "node-3", Boot: completedRun, Error: "node unreachable: boot 3"},
		},
		QueueList: []workflow.Queue{
			{Name: "default", Slots: 10, Available: 4, Running: 10, Scheduled: 2, Retryable: 1, Oldest: 1500 * time.Millisecond,
				Settings: workflow.QueueSettings{GlobalLimit: 20, KeyPath: "user.id", KeyLimit: 2, Rate: 2.5, Burst: 7, KeyRate: 0.5, RetainFailed: 1800},
				Kept: map[workflow.State]time.Duration{
					workflow.Completed: 24 * time.Hour, workflow.Cancelled: 36 * time.Hour,
					workflow.Failed: 30 * time.Minute, workflow.Quarantined: 30 * time.Minute,
				}},
			{Name: "metrics", Slots: 10, PausedAt: &servertest.Epoch, Settings: workflow.QueueSettings{NodeLimit: 10}},
		},
		BatchList: []workflow.BatchStatus{
			{ID: "names", OnEnd: "greet", OnEndRun: id(completedRun), CreatedAt: servertest.Epoch, ClosedAt: &servertest.Epoch, EndedAt: &later,
				Total: 5, States: map[workflow.State]int{workflow.Completed: 3, workflow.Failed: 1}},
			{ID: "later", CreatedAt: servertest.Epoch, Total: 2, States: map[workflow.State]int{workflow.Scheduled: 2}},
		},
		Tree: &messages.Actor{Name: "root", Pid: "root", Strategy: "one_for_one", State: "running", Children: []*messages.Actor{
			{Name: "journal", Pid: "root/journal", State: "running", Restarts: 1, Mailbox: 4,
				LastFailure: "panic: out of ink\ngoroutine 1", LastFailureAt: timestamppb.New(servertest.Epoch)},
			{Name: "runs", Pid: "root/runs", Strategy: "one_for_one", State: "running", More: 17, Children: []*messages.Actor{
				{Name: "run/" + runningRun, Pid: "run/" + runningRun, State: "running"},
			}},
			{Name: "agents", Pid: "root/agents", Strategy: "rest_for_one", State: "running", Children: []*messages.Actor{
				{Name: "echo", Pid: "agent/echo", State: "running"},
				{Name: "scribe", Pid: "agent/scribe", State: "running"},
			}},
		}},
	}
	engine.Put(
		workflow.Run{
			ID: id(completedRun), Workflow: "greet", Version: 1, State: workflow.Completed, Queue: "default", Priority: 3, Key: "ada", Epoch: 2,
			Owner: "node-1", Input: json.RawMessage(`{"name":"Ada","seen":12345678901234567890}`), Output: json.RawMessage(`{"text":"Hello, <Ada> & \u2028 \u00e9","score":1.0,"big":1e400}`),
			CreatedAt: servertest.Epoch, DueAt: servertest.Epoch, StartedAt: &servertest.Epoch, FinishedAt: &later,
		},
		workflow.Run{
			ID: id(failedRun), Workflow: "greet", Version: 1, State: workflow.Failed, Queue: "metrics", Batch: "names", Step: "polish", Turn: 7, Attempt: 5,
			Epoch: 3, Crashes: 1, Error: "step polish, attempt 5: no ink", Input: json.RawMessage(`{}`), CreatedAt: servertest.Epoch, DueAt: later,
		},
		workflow.Run{
			ID: id(runningRun), Workflow: "greet", Version: 1, State: workflow.Waiting, Queue: "default", Step: "compose", Reason: "step unknown",
			Epoch: 1, Error: "\x1b]0;hostile\x07 \u202etext", Input: json.RawMessage(`{"name":"Eve"}`), CreatedAt: servertest.Epoch, DueAt: servertest.Epoch,
		},
	)
	return engine
}
