package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"singularity/llm"
	"singularity/workflow"
)

// Request is the input of llm_request.
type Request struct {
	RequestID string        `json:"request_id"`
	TaskType  string        `json:"task_type"` // such as "classifier" or "coder": what the choice of a model learns by
	Messages  []llm.Message `json:"messages"`
	Format    llm.Format    `json:"format,omitempty"` // of the answer: "json" or none
}

// Response is the output of llm_request.
type Response struct {
	RequestID  string   `json:"request_id"`
	Response   string   `json:"response"`
	Model      string   `json:"model"`
	Provider   string   `json:"provider"`
	TokensUsed *int64   `json:"tokens_used"` // null when the provider did not count
	CostCents  *float64 `json:"cost_cents"`  // US cents; null when the cost is not known
}

// callRetry is the policy for failed calls. A provider that says when to come
// back is believed instead.
var callRetry = workflow.Retry{
	Attempts: 5,
	Delays:   []time.Duration{time.Second, 10 * time.Second, 100 * time.Second, 1000 * time.Second},
}

// LLMRequest answers a conversation by a language model that the router
// chooses. Its key is request_id.
func LLMRequest(r *llm.Router) *workflow.Workflow[Request, Response] {
	return workflow.Define("llm_request", acceptRequest, requestResult,
		workflow.Do("receive_request", receiveRequest),
		workflow.Do("select_model", r.Select),
		workflow.Do("call_llm_provider", r.Call).Timeout(10*time.Minute).Retry(callRetry),
		workflow.Do("publish_result", publishResult),
	).Key(func(in Request) string { return in.RequestID })
}

// maxMessages is how many bytes the messages may have as JSON. It leaves room
// in the state for the choice of the model.
const maxMessages = workflow.MaxState - 64<<10

func acceptRequest(in Request) (llm.Call, error) {
	call := llm.Call{RequestID: in.RequestID, TaskType: in.TaskType, Messages: in.Messages, Format: in.Format}
	return call, errors.Join(
		checkID("request_id", in.RequestID),
		checkName("task_type", in.TaskType),
		checkMessages(in.Messages),
		oneOf("format", in.Format, llm.Formats),
	)
}

func checkMessages(messages []llm.Message) error {
	if len(messages) == 0 {
		return workflow.Invalid("messages", "is empty; expected at least one message")
	}
	for i, message := range messages {
		field := fmt.Sprintf("messages[%d]", i)
		if err := oneOf(field+".role", message.Role, llm.Roles); err != nil {
			return err
		}
		if strings.TrimSpace(message.Content) == "" {
			return workflow.Invalid(field+".content", "is empty")
		}
	}
	if encoded, _ := json.Marshal(messages); len(encoded) > maxMessages {
		return workflow.Invalidf("messages", "has %d bytes as JSON; expected at most %d", len(encoded), maxMessages)
	}
	return nil
}

// receiveRequest sums the input up without quoting it.
func receiveRequest(ctx context.Context, call *llm.Call) error {
	var text strings.Builder
	for _, message := range call.Messages {
		text.WriteString(message.Content)
	}
	workflow.Summarize(ctx, workflow.Summary{Input: summary(struct {
		TaskType string `json:"task_type"`
		Messages int    `json:"messages"`
		Text     digest `json:"text"`
	}{call.TaskType, len(call.Messages), digestOf(text.String())})})
	return nil
}

func publishResult(ctx context.Context, call *llm.Call) error {
	workflow.Summarize(ctx, workflow.Summary{Result: summary(struct {
		Provider string     `json:"provider"`
		Finish   llm.Finish `json:"finish"`
		Text     digest     `json:"text"`
	}{call.AnsweredBy().Provider, call.Response.Finish, digestOf(call.Response.Text)})})
	return nil
}

func requestResult(call *llm.Call) Response {
	response := Response{
		RequestID: call.RequestID,
		Response:  call.Response.Text,
		Model:     call.AnsweredBy().Model,
		Provider:  call.AnsweredBy().Provider,
	}
	if call.Response.Usage.Known() {
		response.TokensUsed = new(call.Response.Usage.Total())
	}
	if call.Cost != nil {
		response.CostCents = new(call.Cost.Cents())
	}
	return response
}
