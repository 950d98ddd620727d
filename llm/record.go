package llm

import (
	"context"
	"log/slog"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// CallKind is the kind of the records that hold a [centralcloud.Call]: what prices,
// benchmarks and learned routing are made from.
const CallKind = "model_call"

// record is the record of one attempt at a call in the making: how its answer is
// judged, the end of the step says.
type record struct {
	centralcloud.Call
	rejected error
}

// report completes the record, has it stored with the attempt that ctx belongs to,
// and sums the run up by it.
func (r *record) report(ctx context.Context, usage Usage, latency time.Duration, err error) {
	attempt := workflow.FromContext(ctx)
	r.Workflow, r.Step, r.Attempt = attempt.Workflow, attempt.Step, attempt.Number
	r.Latency = latency.Microseconds()
	if err != nil {
		r.fail(err)
	}
	summary := workflow.Summary{Model: r.Model, ErrorClass: r.ErrorClass}
	if usage.Known() {
		r.TokensIn, r.TokensOut, r.TokensCached, r.TokensWritten = &usage.In, &usage.Out, &usage.Cached, usage.Written
		summary.Tokens = usage.Total()
	}
	if r.Cost != nil {
		summary.CostCents = new(NanoDollars(*r.Cost).Cents())
	}
	workflow.RecordAtEnd(ctx, CallKind, r.judge)
	workflow.Summarize(ctx, summary)
}

// judge is the record once the step has ended. An answer that was rejected was in no
// form to be used; one whose step failed over something else, nobody has judged.
func (r *record) judge(ended error) any {
	switch {
	case r.ErrorClass != "":
	case r.rejected != nil:
		r.fail(r.rejected)
	default:
		r.Unjudged = ended != nil
	}
	return r.Call
}

func (r *record) fail(err error) {
	class := ClassOf(err)
	r.ErrorClass, r.ErrorPrint = string(class), centralcloud.Fingerprint(string(class), err.Error())
	r.AnswerDigest = ""
}

// log notes a successful call. Failed ones are for the engine to log.
func (r *record) log(ctx context.Context, logger *slog.Logger) {
	logger.InfoContext(ctx, "model answered",
		"run", workflow.FromContext(ctx).Run.String(), "provider", r.Provider, "model", r.Model,
		"task_type", r.TaskType, "latency", time.Duration(r.Latency)*time.Microsecond)
}
