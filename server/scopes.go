package server

import (
	"singularity/messages/messagesconnect"
	"singularity/persistence"
)

// anybody is the scope of routes that need no token.
const anybody persistence.TokenScope = "anybody"

// scopes says, of every path that is served, which scope a token must have
// where tokens are needed. What is not in it is not served: a new procedure is
// out of reach until somebody has decided who may call it.
var scopes = map[string]persistence.TokenScope{
	"/livez":   anybody,
	"/readyz":  anybody,
	"/metrics": persistence.ScopeRead,
	"/":        persistence.ScopeRead,

	messagesconnect.RunServiceStartRunProcedure:   persistence.ScopeRun,
	messagesconnect.RunServiceStartRunsProcedure:  persistence.ScopeRun,
	messagesconnect.RunServiceGetRunProcedure:     persistence.ScopeRead,
	messagesconnect.RunServiceListRunsProcedure:   persistence.ScopeRead,
	messagesconnect.RunServiceWatchRunProcedure:   persistence.ScopeRead,
	messagesconnect.RunServiceListStepsProcedure:  persistence.ScopeRead,
	messagesconnect.RunServiceCancelRunProcedure:  persistence.ScopeRun,
	messagesconnect.RunServiceRetryRunProcedure:   persistence.ScopeRun,
	messagesconnect.RunServiceScoreRunProcedure:   persistence.ScopeRun,
	messagesconnect.RunServiceCancelRunsProcedure: persistence.ScopeRun,
	messagesconnect.RunServiceRetryRunsProcedure:  persistence.ScopeRun,

	messagesconnect.RunServiceGetBatchProcedure:   persistence.ScopeRead,
	messagesconnect.RunServiceCloseBatchProcedure: persistence.ScopeRun,

	messagesconnect.WorkflowServiceListWorkflowsProcedure: persistence.ScopeRead,
	messagesconnect.WorkflowServiceGetWorkflowProcedure:   persistence.ScopeRead,

	// Messages change what receives them, a run for example.
	messagesconnect.ActorServiceSendProcedure:         persistence.ScopeRun,
	messagesconnect.ActorServiceGetActorTreeProcedure: persistence.ScopeRead,

	// Who attaches takes the agent's messages away from whoever had them.
	messagesconnect.AgentServiceListAgentsProcedure:  persistence.ScopeRead,
	messagesconnect.AgentServiceAttachProcedure:      persistence.ScopeRun,
	messagesconnect.AgentServiceAcknowledgeProcedure: persistence.ScopeRun,

	messagesconnect.QueueServiceListQueuesProcedure:  persistence.ScopeRead,
	messagesconnect.QueueServicePauseQueueProcedure:  persistence.ScopeAdmin,
	messagesconnect.QueueServiceResumeQueueProcedure: persistence.ScopeAdmin,
	messagesconnect.QueueServiceSetQueueProcedure:    persistence.ScopeAdmin,

	messagesconnect.ScheduleServiceListSchedulesProcedure:   persistence.ScopeRead,
	messagesconnect.ScheduleServiceCreateScheduleProcedure:  persistence.ScopeRun,
	messagesconnect.ScheduleServiceDeleteScheduleProcedure:  persistence.ScopeRun,
	messagesconnect.ScheduleServicePauseScheduleProcedure:   persistence.ScopeRun,
	messagesconnect.ScheduleServiceResumeScheduleProcedure:  persistence.ScopeRun,
	messagesconnect.ScheduleServiceTriggerScheduleProcedure: persistence.ScopeRun,

	messagesconnect.ClusterServiceListMembersProcedure:   persistence.ScopeRead,
	messagesconnect.ClusterServiceListTakeoversProcedure: persistence.ScopeRead,
	messagesconnect.ClusterServiceDrainNodeProcedure:     persistence.ScopeAdmin,

	messagesconnect.ClusterServiceListKeysProcedure:  persistence.ScopeAdmin,
	messagesconnect.ClusterServiceAddKeyProcedure:    persistence.ScopeAdmin,
	messagesconnect.ClusterServiceUseKeyProcedure:    persistence.ScopeAdmin,
	messagesconnect.ClusterServiceRemoveKeyProcedure: persistence.ScopeAdmin,
}
