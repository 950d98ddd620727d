package server

import (
	"context"

	"singularity/messages"
	"singularity/workflow"
)

func (s runService) GetBatch(ctx context.Context, request *messages.GetBatchRequest) (*messages.GetBatchResponse, error) {
	if err := checkName("id", request.GetId()); err != nil {
		return nil, err
	}
	batch, err := s.engine.Batch(ctx, request.GetId())
	if err != nil {
		return nil, err
	}
	return &messages.GetBatchResponse{Batch: batchMessage(batch)}, nil
}

func (s runService) CloseBatch(ctx context.Context, request *messages.CloseBatchRequest) (*messages.CloseBatchResponse, error) {
	if err := checkName("id", request.GetId()); err != nil {
		return nil, err
	}
	batch, changed, err := s.engine.CloseBatch(ctx, request.GetId())
	if err != nil {
		return nil, err
	}
	return &messages.CloseBatchResponse{Batch: batchMessage(batch), Changed: changed}, nil
}

func batchMessage(batch workflow.BatchStatus) *messages.BatchStatus {
	message := &messages.BatchStatus{
		Id:         batch.ID,
		OnEnd:      batch.OnEnd,
		OnEndRunId: optionalID(batch.OnEndRun),
		CreatedAt:  timestamp(batch.CreatedAt),
		ClosedAt:   optionalTimestamp(batch.ClosedAt),
		EndedAt:    optionalTimestamp(batch.EndedAt),
		Total:      int32(batch.Total),
		States:     make(map[string]int32, len(batch.States)),
	}
	for state, runs := range batch.States {
		message.States[string(state)] = int32(runs)
	}
	return message
}
