package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"singularity/messages"
	"singularity/server/servertest"
	"singularity/workflow"
)

type errorCase struct {
	name   string // in package workflow, or of the context package
	err    error
	status int
	code   string
	detail *messages.ErrorDetail
}

var someRun = workflow.RunID{0x01, 0x93}

var errorCases = []errorCase{
	{"InputError", workflow.Invalid("messages[0].role", "is empty"), 400, "invalid_argument",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_INVALID_INPUT, Field: "messages[0].role"}},
	{"LimitError", &workflow.LimitError{What: "input", Size: 12, Limit: 10}, 400, "invalid_argument",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_TOO_LARGE, Field: "input", Size: 12, Limit: 10}},
	{"StartError", &workflow.StartError{Index: 7, Err: workflow.Invalid("name", "is empty")}, 400, "invalid_argument",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_INVALID_INPUT, Field: "name", Index: new(int32(7))}},
	{"KeyConflictError", &workflow.KeyConflictError{Workflow: "w", Key: "k", Run: someRun}, 409, "already_exists",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_KEY_CONFLICT, RunId: someRun.String()}},
	{"UniqueError", &workflow.UniqueError{Workflow: "w", By: workflow.ByQueue, Run: someRun}, 409, "already_exists",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_NOT_UNIQUE, RunId: someRun.String()}},
	{"UnknownMessageError", &workflow.UnknownMessageError{PID: "run/x", Type: "sing", Known: []string{"ping"}}, 400, "invalid_argument",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_UNKNOWN_MESSAGE, Field: "type", Known: []string{"ping"}}},
	{"ErrUnknownWorkflow", workflow.ErrUnknownWorkflow, 404, "not_found",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_UNKNOWN_WORKFLOW}},
	{"ErrRunNotFound", workflow.ErrRunNotFound, 404, "not_found",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_RUN_NOT_FOUND}},
	{"ErrAgentNotFound", workflow.ErrAgentNotFound, 404, "not_found",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_AGENT_NOT_FOUND}},
	{"ErrScheduleNotFound", workflow.ErrScheduleNotFound, 404, "not_found",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_SCHEDULE_NOT_FOUND}},
	{"ErrBatchNotFound", workflow.ErrBatchNotFound, 404, "not_found",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_BATCH_NOT_FOUND}},
	{"ErrScheduleExists", workflow.ErrScheduleExists, 409, "already_exists",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_SCHEDULE_EXISTS}},
	{"ErrActorNotFound", workflow.ErrActorNotFound, 404, "not_found",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_ACTOR_NOT_FOUND}},
	{"ErrUnreachable", workflow.ErrUnreachable, 503, "unavailable",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_UNREACHABLE}},
	{"ErrNoReply", workflow.ErrNoReply, 504, "deadline_exceeded",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_NO_REPLY}},
	{"ErrStepUnknown", workflow.ErrStepUnknown, 400, "failed_precondition",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_UNKNOWN_STEP}},
	{"ErrNothingToScore", workflow.ErrNothingToScore, 400, "failed_precondition",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_NOTHING_TO_SCORE}},
	{"ErrWrongState", workflow.ErrWrongState, 400, "failed_precondition",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_WRONG_STATE}},
	{"ErrNodesNotReady", workflow.ErrNodesNotReady, 400, "failed_precondition",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_NODES_NOT_READY}},
	{"ErrQueueFull", workflow.ErrQueueFull, 429, "resource_exhausted",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_QUEUE_FULL}},
	{"ErrOutcomeUnknown", workflow.ErrOutcomeUnknown, 503, "unavailable",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_OUTCOME_UNKNOWN}},
	{"ErrDraining", workflow.ErrDraining, 503, "unavailable",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_DRAINING}},
	{"ErrUnavailable", workflow.ErrUnavailable, 503, "unavailable",
		&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_STORE_UNAVAILABLE}},
	{"Canceled", context.Canceled, 499, "canceled", nil},
	{"DeadlineExceeded", context.DeadlineExceeded, 504, "deadline_exceeded", nil},
	{"", errors.New("disk on fire"), 500, "internal", nil},
}

func TestEveryErrorHasACodeAndADetail(t *testing.T) {
	t.Parallel()
	for _, test := range errorCases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			api := serve(t, &servertest.Engine{Err: fmt.Errorf("start w: %w", test.err)})
			for _, procedure := range []string{"RunService/GetRun", "RunService/StartRun", "ActorService/Send", "AgentService/Acknowledge"} {
				response := api.post(t, procedure, fmt.Sprintf(`{"id": %q}`, someRun))
				got := decodeError(t, response.body)
				if response.code != test.status || got.Code != test.code {
					t.Errorf("%s: got %d %s, want %d %s", procedure, response.code, got.Code, test.status, test.code)
				}
				if want := "start w: " + test.err.Error(); got.Message != want {
					t.Errorf("%s: got message %q, want %q", procedure, got.Message, want)
				}
				if !proto.Equal(got.detail, test.detail) {
					t.Errorf("%s: got detail %v, want %v", procedure, got.detail, test.detail)
				}
				if retryAfter := response.header.Get("Retry-After"); (retryAfter != "") != (test.status == http.StatusTooManyRequests) {
					t.Errorf("%s: got Retry-After %q with status %d", procedure, retryAfter, test.status)
				}
			}
		})
	}
}

// runErrors are errors of package workflow that describe how a run went. Runs
// carry their text; no call returns them.
var runErrors = []string{"StepError", "PanicError", "TimeoutError", "RunError", "ErrOverdue"}

func TestNoErrorOfAnEngineIsForgotten(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, test := range errorCases {
		known[test.name] = true
	}
	for _, name := range runErrors {
		known[name] = true
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../workflow/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for node := range ast.Preorder(file) {
		name := ""
		switch node := node.(type) {
		case *ast.ValueSpec:
			name = node.Names[0].Name
		case *ast.TypeSpec:
			name = node.Name.Name
		}
		if ast.IsExported(name) && strings.Contains(name, "Err") && !known[name] {
			t.Errorf("workflow.%s has no case here: which code does the API answer with?", name)
		}
	}
}

type apiError struct {
	Code    string
	Message string
	Details []struct{ Type, Value string }
	detail  *messages.ErrorDetail
}

func decodeError(t *testing.T, body []byte) apiError {
	t.Helper()
	var decoded apiError
	if err := json.Unmarshal(body, &decoded); err != nil {
		t.Fatalf("%s is not an error of the API: %v", body, err)
	}
	for _, detail := range decoded.Details {
		value, err := base64.RawStdEncoding.DecodeString(detail.Value)
		if err != nil {
			t.Fatal(err)
		}
		decoded.detail = &messages.ErrorDetail{}
		if err := proto.Unmarshal(value, decoded.detail); err != nil {
			t.Fatal(err)
		}
	}
	return decoded
}
