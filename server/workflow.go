package server

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

// workflowService implements [messagesconnect.WorkflowServiceHandler].
type workflowService struct{ engine Engine }

var _ messagesconnect.WorkflowServiceHandler = workflowService{}

func (s workflowService) ListWorkflows(context.Context, *messages.ListWorkflowsRequest) (*messages.ListWorkflowsResponse, error) {
	response := &messages.ListWorkflowsResponse{}
	for _, program := range s.engine.Workflows() {
		response.Workflows = append(response.Workflows, workflowMessage(program))
	}
	return response, nil
}

func (s workflowService) GetWorkflow(_ context.Context, request *messages.GetWorkflowRequest) (*messages.GetWorkflowResponse, error) {
	programs := s.engine.Workflows()
	names := make([]string, len(programs))
	for i, program := range programs {
		if program.Name == request.GetName() {
			return &messages.GetWorkflowResponse{Workflow: workflowMessage(program)}, nil
		}
		names[i] = program.Name
	}
	return nil, fmt.Errorf("%w %q; those registered here are: %s", workflow.ErrUnknownWorkflow, request.GetName(), strings.Join(names, ", "))
}

func workflowMessage(program *workflow.Program) *messages.Workflow {
	message := &messages.Workflow{
		Name:       program.Name,
		Version:    int32(program.Version),
		Durability: string(program.Durability),
	}
	for _, step := range program.Steps {
		message.Steps = append(message.Steps, &messages.Step{
			Name:    step.Name,
			Kind:    string(step.Kind),
			Timeout: duration(step.Timeout),
			Retry:   retryMessage(step.Retry),
		})
	}
	return message
}

func retryMessage(policy workflow.Retry) *messages.RetryPolicy {
	message := &messages.RetryPolicy{
		Attempts:  int32(policy.Attempts),
		JitterMin: policy.Jitter[0],
		JitterMax: policy.Jitter[1],
	}
	for _, delay := range policy.Delays {
		message.Delays = append(message.Delays, durationpb.New(delay))
	}
	return message
}
