package main

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/workflow"
)

// The JSON documents of this program are those of package workflow, whose
// names are the same in Go, in the database and in scripts. Here they are made
// of what came over the wire.

func runOf(message *messages.Run) (workflow.Run, error) {
	id, err := workflow.ParseRunID(message.GetId())
	if err != nil {
		return workflow.Run{}, fmt.Errorf("answer of the node: %w", err)
	}
	return workflow.Run{
		ID:         id,
		Workflow:   message.GetWorkflow(),
		Version:    int(message.GetVersion()),
		State:      workflow.State(message.GetState()),
		Queue:      message.GetQueue(),
		Priority:   int(message.GetPriority()),
		Key:        message.GetKey(),
		Step:       message.GetStep(),
		Turn:       int(message.GetTurn()),
		Attempt:    int(message.GetAttempt()),
		Epoch:      message.GetEpoch(),
		Crashes:    int(message.GetCrashes()),
		Owner:      message.GetOwner(),
		Error:      message.GetError(),
		Reason:     message.GetReason(),
		Input:      json.RawMessage(message.GetInputJson()),
		Output:     json.RawMessage(message.GetOutputJson()),
		CreatedAt:  timeOf(message.GetCreatedAt()),
		DueAt:      timeOf(message.GetDueAt()),
		StartedAt:  optionalTimeOf(message.GetStartedAt()),
		FinishedAt: optionalTimeOf(message.GetFinishedAt()),
		Deadline:   optionalTimeOf(message.GetDeadline()),
		Tags:       message.GetTags(),
		LimitKey:   message.GetLimitKey(),
		Schedule:   message.GetSchedule(),
		Slot:       optionalTimeOf(message.GetSlot()),
		Batch:      message.GetBatch(),
	}, nil
}

func runsOf(list []*messages.Run) ([]workflow.Run, error) {
	runs := make([]workflow.Run, len(list)) // never nil: an empty list is [] in JSON
	for i, message := range list {
		var err error
		if runs[i], err = runOf(message); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

func stepRunOf(message *messages.StepRun) workflow.StepRun {
	step := workflow.StepRun{
		Seq:        message.GetSeq(),
		Step:       message.GetStep(),
		Turn:       int(message.GetTurn()),
		Attempt:    int(message.GetAttempt()),
		Outcome:    workflow.StepOutcome(message.GetOutcome()),
		Epoch:      message.GetEpoch(),
		Owner:      message.GetOwner(),
		State:      json.RawMessage(message.GetStateJson()),
		Error:      message.GetError(),
		StartedAt:  timeOf(message.GetStartedAt()),
		FinishedAt: timeOf(message.GetFinishedAt()),
	}
	for _, record := range message.GetRecords() {
		step.Facts = append(step.Facts, factOf(record))
	}
	return step
}

func factOf(record *messages.Record) workflow.Fact {
	return workflow.Fact{
		Kind: record.GetKind(), Doc: json.RawMessage(record.GetDocJson()), At: timeOf(record.GetAt()), Scores: record.GetScores(),
	}
}

func scheduleOf(message *messages.Schedule) (workflow.Schedule, error) {
	spec := message.GetSpec()
	schedule := workflow.Schedule{
		ScheduleSpec: workflow.ScheduleSpec{
			Name:     spec.GetName(),
			Workflow: spec.GetWorkflow(),
			Cron:     spec.GetCron(),
			TimeZone: spec.GetTimeZone(),
			Input:    json.RawMessage(spec.GetInputJson()),
			Queue:    spec.GetQueue(),
			Priority: int(spec.GetPriority()),
			CatchUp:  workflow.CatchUp(spec.GetCatchUp()),
			Overlap:  workflow.Overlap(spec.GetOverlap()),
		},
		PausedAt:  optionalTimeOf(message.GetPausedAt()),
		LastSlot:  optionalTimeOf(message.GetLastSlot()),
		LastError: message.GetLastError(),
		NextSlot:  optionalTimeOf(message.GetNextSlot()),
		CreatedAt: timeOf(message.GetCreatedAt()),
		UpdatedAt: timeOf(message.GetUpdatedAt()),
	}
	for _, slot := range message.GetNext() {
		schedule.Next = append(schedule.Next, timeOf(slot))
	}
	if message.GetLastRun() == "" {
		return schedule, nil
	}
	var err error
	if schedule.LastRun, err = workflow.ParseRunID(message.GetLastRun()); err != nil {
		return schedule, fmt.Errorf("answer of the node: %w", err)
	}
	return schedule, nil
}

func agentOf(message *messages.Agent) workflow.Agent {
	return workflow.Agent{
		Name:         message.GetName(),
		Kind:         message.GetKind(),
		Home:         message.GetHome(),
		Live:         message.GetLive(),
		Waiting:      int(message.GetWaiting()),
		RegisteredAt: timeOf(message.GetRegisteredAt()),
	}
}

// definition is a registered workflow.
type definition struct {
	Name       string        `json:"name"`
	Version    int32         `json:"version"`
	Durability string        `json:"durability"`
	Steps      []definedStep `json:"steps"`
}

type definedStep struct {
	Name           string    `json:"name"`
	Kind           string    `json:"kind"`
	TimeoutSeconds float64   `json:"timeout_seconds"`
	Attempts       int32     `json:"attempts"`
	DelaysSeconds  []float64 `json:"delays_seconds"`
}

func definitionOf(message *messages.Workflow) definition {
	defined := definition{
		Name:       message.GetName(),
		Version:    message.GetVersion(),
		Durability: message.GetDurability(),
		Steps:      make([]definedStep, len(message.GetSteps())),
	}
	for i, step := range message.GetSteps() {
		delays := make([]float64, len(step.GetRetry().GetDelays()))
		for j, delay := range step.GetRetry().GetDelays() {
			delays[j] = delay.AsDuration().Seconds()
		}
		defined.Steps[i] = definedStep{
			Name:           step.GetName(),
			Kind:           step.GetKind(),
			TimeoutSeconds: step.GetTimeout().AsDuration().Seconds(),
			Attempts:       step.GetRetry().GetAttempts(),
			DelaysSeconds:  delays,
		}
	}
	return defined
}

// actorNode is an actor with those below it.
type actorNode struct {
	Name          string      `json:"name"`
	PID           string      `json:"pid"`
	Strategy      string      `json:"strategy,omitempty"`
	State         string      `json:"state"`
	Restarts      int32       `json:"restarts"`
	Mailbox       int32       `json:"mailbox"`
	LastFailure   string      `json:"last_failure,omitempty"`
	LastFailureAt *time.Time  `json:"last_failure_at,omitempty"`
	Children      []actorNode `json:"children,omitempty"`
	More          int32       `json:"more,omitempty"` // children that are not listed
}

func actorNodeOf(message *messages.Actor) actorNode {
	node := actorNode{
		Name:          message.GetName(),
		PID:           message.GetPid(),
		Strategy:      message.GetStrategy(),
		State:         message.GetState(),
		Restarts:      message.GetRestarts(),
		Mailbox:       message.GetMailbox(),
		LastFailure:   message.GetLastFailure(),
		LastFailureAt: optionalTimeOf(message.GetLastFailureAt()),
		More:          message.GetMore(),
	}
	for _, child := range message.GetChildren() {
		node.Children = append(node.Children, actorNodeOf(child))
	}
	return node
}

// member is a node as the registry has it, under the names of its columns.
type member struct {
	Instance      string          `json:"instance_id"`
	Hostname      string          `json:"hostname"`
	PID           int32           `json:"pid"`
	Status        string          `json:"status"`
	Load          int32           `json:"load"`
	Capabilities  json.RawMessage `json:"capabilities"`
	LastHeartbeat time.Time       `json:"last_heartbeat"`
	CreatedAt     time.Time       `json:"created_at"`
	Version       string          `json:"version"`
	Boot          string          `json:"boot"`
	Gossip        string          `json:"gossip_address,omitempty"`
	Actors        string          `json:"actors_address,omitempty"`
	API           string          `json:"api_address,omitempty"`
}

func memberOf(message *messages.Member) member {
	return member{
		Instance:      message.GetInstanceId(),
		Hostname:      message.GetHostname(),
		PID:           message.GetPid(),
		Status:        message.GetStatus(),
		Load:          message.GetLoad(),
		Capabilities:  json.RawMessage(message.GetCapabilitiesJson()),
		LastHeartbeat: timeOf(message.GetLastHeartbeat()),
		CreatedAt:     timeOf(message.GetCreatedAt()),
		Version:       message.GetVersion(),
		Boot:          message.GetBoot(),
		Gossip:        message.GetGossipAddress(),
		Actors:        message.GetActorsAddress(),
		API:           message.GetApiAddress(),
	}
}

func timeOf(message *timestamppb.Timestamp) time.Time {
	if message == nil {
		return time.Time{}
	}
	return message.AsTime()
}

func optionalTimeOf(message *timestamppb.Timestamp) *time.Time {
	if message == nil {
		return nil
	}
	moment := message.AsTime()
	return &moment
}
