package server

import (
	"context"
	"encoding/json"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

// scheduleService implements [messagesconnect.ScheduleServiceHandler].
type scheduleService struct{ engine Engine }

var _ messagesconnect.ScheduleServiceHandler = scheduleService{}

func (s scheduleService) ListSchedules(ctx context.Context, request *messages.ListSchedulesRequest) (*messages.ListSchedulesResponse, error) {
	schedules, err := s.engine.Schedules(ctx, int(request.GetNext()))
	if err != nil {
		return nil, err
	}
	response := &messages.ListSchedulesResponse{}
	for _, schedule := range schedules {
		response.Schedules = append(response.Schedules, scheduleMessage(schedule))
	}
	return response, nil
}

func (s scheduleService) CreateSchedule(ctx context.Context, request *messages.CreateScheduleRequest) (*messages.CreateScheduleResponse, error) {
	spec := request.GetSpec()
	schedule, err := s.engine.CreateSchedule(ctx, workflow.ScheduleSpec{
		Name:     spec.GetName(),
		Workflow: spec.GetWorkflow(),
		Cron:     spec.GetCron(),
		TimeZone: spec.GetTimeZone(),
		Input:    json.RawMessage(spec.GetInputJson()),
		Queue:    spec.GetQueue(),
		Priority: int(spec.GetPriority()),
		CatchUp:  workflow.CatchUp(spec.GetCatchUp()),
		Overlap:  workflow.Overlap(spec.GetOverlap()),
	})
	if err != nil {
		return nil, err
	}
	return &messages.CreateScheduleResponse{Schedule: scheduleMessage(schedule)}, nil
}

func (s scheduleService) DeleteSchedule(ctx context.Context, request *messages.DeleteScheduleRequest) (*messages.DeleteScheduleResponse, error) {
	if err := s.engine.DeleteSchedule(ctx, request.GetName()); err != nil {
		return nil, err
	}
	return &messages.DeleteScheduleResponse{}, nil
}

func (s scheduleService) PauseSchedule(ctx context.Context, request *messages.PauseScheduleRequest) (*messages.PauseScheduleResponse, error) {
	schedule, err := s.engine.PauseSchedule(ctx, request.GetName(), true)
	if err != nil {
		return nil, err
	}
	return &messages.PauseScheduleResponse{Schedule: scheduleMessage(schedule)}, nil
}

func (s scheduleService) ResumeSchedule(ctx context.Context, request *messages.ResumeScheduleRequest) (*messages.ResumeScheduleResponse, error) {
	schedule, err := s.engine.PauseSchedule(ctx, request.GetName(), false)
	if err != nil {
		return nil, err
	}
	return &messages.ResumeScheduleResponse{Schedule: scheduleMessage(schedule)}, nil
}

func (s scheduleService) TriggerSchedule(ctx context.Context, request *messages.TriggerScheduleRequest) (*messages.TriggerScheduleResponse, error) {
	var id workflow.RunID
	if request.GetRunId() != "" {
		var err error
		if id, err = workflow.ParseRunID(request.GetRunId()); err != nil {
			return nil, err
		}
	}
	pending, err := s.engine.TriggerSchedule(ctx, request.GetName(), id)
	if err != nil {
		return nil, err
	}
	return &messages.TriggerScheduleResponse{RunId: pending.ID().String()}, nil
}

func scheduleMessage(schedule workflow.Schedule) *messages.Schedule {
	message := &messages.Schedule{
		Spec: &messages.ScheduleSpec{
			Name:      schedule.Name,
			Workflow:  schedule.Workflow,
			Cron:      schedule.Cron,
			TimeZone:  schedule.TimeZone,
			InputJson: text(schedule.Input),
			Queue:     schedule.Queue,
			Priority:  int32(schedule.Priority),
			CatchUp:   string(schedule.CatchUp),
			Overlap:   string(schedule.Overlap),
		},
		PausedAt:  optionalTimestamp(schedule.PausedAt),
		LastSlot:  optionalTimestamp(schedule.LastSlot),
		LastError: text(schedule.LastError),
		NextSlot:  optionalTimestamp(schedule.NextSlot),
		CreatedAt: timestamp(schedule.CreatedAt),
		UpdatedAt: timestamp(schedule.UpdatedAt),
	}
	if !schedule.LastRun.IsZero() {
		message.LastRun = schedule.LastRun.String()
	}
	for _, slot := range schedule.Next {
		message.Next = append(message.Next, timestamp(slot))
	}
	return message
}
