package singularity

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/persistence"
)

// Takeovers lists the processes that were declared dead, the latest first, and
// what became of their runs. The limit is that of a list of runs: 100 unless it
// is positive, and at most 1000.
func (e *Engine) Takeovers(ctx context.Context, limit int) ([]*messages.Takeover, error) {
	takeovers, err := e.node.Takeovers(ctx, persistence.PageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("read the takeovers: %w", err)
	}
	list := make([]*messages.Takeover, len(takeovers))
	for i, takeover := range takeovers {
		list[i] = takeoverMessage(takeover)
	}
	return list, nil
}

func takeoverMessage(t persistence.Takeover) *messages.Takeover {
	return &messages.Takeover{
		Boot:        string(t.Boot),
		InstanceId:  t.Instance,
		Judge:       string(t.Judge),
		DetectedBy:  t.DetectedBy,
		Ground:      string(t.Ground),
		SuspectedAt: timestamppb.New(t.SuspectedAt),
		DeclaredAt:  timestamppb.New(t.DeclaredAt),
		Released:    int32(t.Released),
		Quarantined: int32(t.Quarantined),
		ClaimedAt:   optionalTimestamp(t.ClaimedAt),
		ResumedAt:   optionalTimestamp(t.ResumedAt),
	}
}

func optionalTimestamp(at *time.Time) *timestamppb.Timestamp {
	if at == nil {
		return nil
	}
	return timestamppb.New(*at)
}
