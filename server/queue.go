package server

import (
	"context"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

// queueService implements [messagesconnect.QueueServiceHandler].
type queueService struct{ engine Engine }

var _ messagesconnect.QueueServiceHandler = queueService{}

func (s queueService) ListQueues(ctx context.Context, _ *messages.ListQueuesRequest) (*messages.ListQueuesResponse, error) {
	queues, err := s.engine.Queues(ctx)
	if err != nil {
		return nil, err
	}
	response := &messages.ListQueuesResponse{}
	for _, queue := range queues {
		response.Queues = append(response.Queues, queueMessage(queue))
	}
	return response, nil
}

func (s queueService) PauseQueue(ctx context.Context, request *messages.PauseQueueRequest) (*messages.PauseQueueResponse, error) {
	if err := checkName("name", request.GetName()); err != nil {
		return nil, err
	}
	queue, changed, err := s.engine.PauseQueue(ctx, request.GetName())
	if err != nil {
		return nil, err
	}
	return &messages.PauseQueueResponse{Queue: queueMessage(queue), Changed: changed, New: queue.New}, nil
}

func (s queueService) ResumeQueue(ctx context.Context, request *messages.ResumeQueueRequest) (*messages.ResumeQueueResponse, error) {
	if err := checkName("name", request.GetName()); err != nil {
		return nil, err
	}
	queue, changed, err := s.engine.ResumeQueue(ctx, request.GetName())
	if err != nil {
		return nil, err
	}
	return &messages.ResumeQueueResponse{Queue: queueMessage(queue), Changed: changed, New: queue.New}, nil
}

func (s queueService) SetQueue(ctx context.Context, request *messages.SetQueueRequest) (*messages.SetQueueResponse, error) {
	if err := checkName("name", request.GetName()); err != nil {
		return nil, err
	}
	queue, err := s.engine.SetQueue(ctx, request.GetName(), workflow.QueueChange{
		NodeLimit:   optionalInt(request.NodeLimit),
		GlobalLimit: optionalInt(request.GlobalLimit),
		KeyPath:     request.KeyPath,
		KeyLimit:    optionalInt(request.KeyLimit),
		Rate:        request.Rate,
		Burst:       optionalInt(request.Burst),
		KeyRate:     request.KeyRate,
		KeyBurst:    optionalInt(request.KeyBurst),

		RetainCompleted: optionalInt(request.RetainCompletedSeconds),
		RetainFailed:    optionalInt(request.RetainFailedSeconds),
	})
	if err != nil {
		return nil, err
	}
	return &messages.SetQueueResponse{Queue: queueMessage(queue), New: queue.New}, nil
}

func checkName(field, name string) error {
	if !workflow.ValidName(name) {
		return workflow.Invalidf(field, "is %q; expected letters, digits and any of _-. after the first", name)
	}
	return nil
}

func optionalInt(value *int32) *int {
	if value == nil {
		return nil
	}
	return new(int(*value))
}

func queueMessage(queue workflow.Queue) *messages.Queue {
	kept := make(map[string]float64, len(queue.Kept))
	for state, age := range queue.Kept {
		kept[string(state)] = age.Seconds()
	}
	return &messages.Queue{
		Name:     queue.Name,
		PausedAt: optionalTimestamp(queue.PausedAt),
		Settings: &messages.QueueSettings{
			NodeLimit:   int32(queue.Settings.NodeLimit),
			GlobalLimit: int32(queue.Settings.GlobalLimit),
			KeyPath:     text(queue.Settings.KeyPath),
			KeyLimit:    int32(queue.Settings.KeyLimit),
			Rate:        queue.Settings.Rate,
			Burst:       int32(queue.Settings.Burst),
			KeyRate:     queue.Settings.KeyRate,
			KeyBurst:    int32(queue.Settings.KeyBurst),

			RetainCompletedSeconds: int32(queue.Settings.RetainCompleted),
			RetainFailedSeconds:    int32(queue.Settings.RetainFailed),
		},
		Slots:     int32(queue.Slots),
		Available: int32(queue.Available),
		Running:   int32(queue.Running),
		Scheduled: int32(queue.Scheduled),
		Retryable: int32(queue.Retryable),
		Oldest:    duration(queue.Oldest),

		KeptSeconds: kept,
	}
}
