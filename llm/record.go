package llm

import (
	"context"
	"log/slog"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// CallKind is the kind of the records that hold a [ModelCall].
const CallKind = "model_call"

// ModelCall is the record of one attempt at a call, successful or not: what
// prices, benchmarks and learned routing are made from. Counts and costs that
// nobody knows are null.
type ModelCall struct {
	Workflow string `json:"workflow,omitempty"` // in whose step it was made
	Step     string `json:"step,omitempty"`
	Attempt  int    `json:"attempt,omitempty"` // at the step, from 1

	Provider string `json:"provider"`
	Model    string `json:"model"`
	TaskType string `json:"task_type"`
	Bucket   Bucket `json:"complexity_bucket"`

	TokensIn     *int64 `json:"tokens_in"`
	TokensOut    *int64 `json:"tokens_out"`
	TokensCached *int64 `json:"tokens_cached"`
	// TokensWritten are those of the request that went into the provider's cache.
	TokensWritten int64        `json:"tokens_cache_written,omitempty"`
	Cost          *NanoDollars `json:"cost_nanodollars"`
	Latency       int64        `json:"latency_us"`

	Finish     Finish `json:"finish,omitempty"`
	ErrorClass Class  `json:"error_class,omitempty"` // empty for a success
	ErrorPrint string `json:"error_print,omitempty"` // its [centralcloud.Fingerprint]

	InputDigest  string `json:"input_digest,omitempty"`
	AnswerDigest string `json:"answer_digest,omitempty"` // of a success

	PolicyVersion string  `json:"policy_version"`
	Propensity    float64 `json:"propensity"`         // of the choice
	Fallback      bool    `json:"fallback,omitempty"` // the model stood in for the chosen one, which did not answer
}

// report completes the record of a call, adds it to the attempt that ctx
// belongs to, and sums the run up by it.
func (c *ModelCall) report(ctx context.Context, usage Usage, latency time.Duration, err error) {
	attempt := workflow.FromContext(ctx)
	c.Workflow, c.Step, c.Attempt = attempt.Workflow, attempt.Step, attempt.Number
	c.Latency = latency.Microseconds()
	c.ErrorClass = ClassOf(err)
	if err != nil {
		c.ErrorPrint = centralcloud.Fingerprint(string(c.ErrorClass), err.Error())
	}
	summary := workflow.Summary{Model: c.Model, ErrorClass: string(c.ErrorClass)}
	if usage.Known() {
		c.TokensIn, c.TokensOut, c.TokensCached, c.TokensWritten = &usage.In, &usage.Out, &usage.Cached, usage.Written
		summary.Tokens = usage.Total()
	}
	if c.Cost != nil {
		summary.CostCents = new(c.Cost.Cents())
	}
	workflow.Record(ctx, CallKind, c)
	workflow.Summarize(ctx, summary)
}

// log notes a successful call. Failed ones are for the engine to log.
func (c *ModelCall) log(ctx context.Context, logger *slog.Logger) {
	logger.InfoContext(ctx, "model answered",
		"run", workflow.FromContext(ctx).Run.String(), "provider", c.Provider, "model", c.Model,
		"task_type", c.TaskType, "latency", time.Duration(c.Latency)*time.Microsecond)
}
