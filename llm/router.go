package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"singularity/centralcloud"
	"singularity/workflow"
)

// Router chooses a model for each request and calls its provider. It is safe
// for concurrent use.
type Router struct {
	table     *Table
	providers map[string]Provider
	names     []string // of the providers, in order
	targets   map[centralcloud.Arm]*target
	policy    func() *centralcloud.Policy // nil for none
	lastPlan  atomic.Pointer[plan]
	limits    Limits
	ledger    *leases
	dearest   float64 // as a multiple of the price of whom they stand in for
	max       int64   // tokens of an answer
	log       *slog.Logger
	warned    sync.Map // texts of warnings that were given
}

// RouterConfig configures a [Router].
type RouterConfig struct {
	// Logger hears of every answer and, once for each model, of costs that are
	// not known. Defaults to slog.Default().
	Logger *slog.Logger
	// MaxTokens bounds answers, thoughts included. Defaults to what the table of
	// models says of each.
	MaxTokens int64
	// Policy returns what to choose by: the same pointer until there is another
	// policy, nil while there is none. It is asked for each choice. Defaults to the
	// table of models alone.
	Policy func() *centralcloud.Policy
	// Limits are enforced before each call, with the next cheaper model that they
	// leave room for. They need a Ledger, and models that have prices.
	Limits Limits
	Ledger Ledger
	// FallbackPrice is how many times the price of the model that the table chose
	// another one may cost that stands in for it. A policy has an order of its own.
	// Defaults to 2; 1 admits nobody who is dearer.
	FallbackPrice float64
}

// NewRouter returns a router over the models that the table lists for these
// providers. Each of them needs at least one.
func NewRouter(table *Table, providers []Provider, config RouterConfig) (*Router, error) {
	router := &Router{
		table: table, providers: make(map[string]Provider, len(providers)), targets: map[centralcloud.Arm]*target{},
		policy: config.Policy, limits: config.Limits, ledger: &leases{others: config.Ledger},
		dearest: cmp.Or(config.FallbackPrice, 2), max: config.MaxTokens, log: config.Logger,
	}
	if router.log == nil {
		router.log = slog.Default()
	}
	var problems []error
	if len(providers) == 0 {
		problems = append(problems, errors.New("no provider is configured"))
	}
	for _, provider := range providers {
		name := provider.Name()
		if router.providers[name] != nil {
			problems = append(problems, fmt.Errorf("provider %s is configured twice", name))
		}
		if !slices.ContainsFunc(table.Models, func(model Model) bool { return model.Provider == name }) {
			problems = append(problems, fmt.Errorf("provider %s has no model in the table of models; add one", name))
		}
		router.providers[name] = provider
		router.names = append(router.names, name)
	}
	problems = append(problems, router.validate()...)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("model router: %w", err)
	}
	for _, model := range table.Models {
		if router.providers[model.Provider] != nil {
			router.targets[model.Arm()] = newTarget(model)
		}
	}
	return router, nil
}

// validate looks at what calls may cost.
func (r *Router) validate() []error {
	problems := r.limits.validate(r.providers)
	if r.max < 0 {
		problems = append(problems, fmt.Errorf("at most %d tokens an answer: expected a positive number, or 0 for no bound", r.max))
	}
	if !(r.dearest >= 1) {
		problems = append(problems, fmt.Errorf("fallback at %g times the price: expected 1 at least", r.dearest))
	}
	if !r.limits.limited() {
		return problems
	}
	if r.ledger.others == nil {
		problems = append(problems, errors.New("spending limits need a ledger"))
	}
	for _, model := range r.table.Models {
		if r.providers[model.Provider] != nil && model.Price == nil {
			problems = append(problems, fmt.Errorf("model %s has no price in the table of models, which spending limits need; give it one, 0 if it is free", model.Name))
		}
	}
	return problems
}

// Call is the state of a run that asks a model.
type Call struct {
	RequestID string    `json:"request_id"`
	TaskType  string    `json:"task_type"`
	Messages  []Message `json:"messages,omitempty"` // empty once they are answered
	Format    Format    `json:"format,omitempty"`   // of the answer

	Choice   Choice           `json:"choice,omitzero"`            // by Select
	StandIn  centralcloud.Arm `json:"stand_in,omitzero"`          // who answered when the chosen model did not
	Response Response         `json:"response,omitzero"`          // by Call
	Cost     *NanoDollars     `json:"cost_nanodollars,omitempty"` // nil when it is not known

	record *record // of the call that this attempt made
}

// AnsweredBy is the model that gave the response.
func (c *Call) AnsweredBy() centralcloud.Arm {
	if c.StandIn != (centralcloud.Arm{}) {
		return c.StandIn
	}
	return c.Choice.arm()
}

// Call is a step: it has the chosen model answer the messages, which then
// leave the state. Its attempts share the choice and the idempotency key; each
// of them is recorded as a [centralcloud.Call]. The answer is reported as progress
// while it arrives; the step may [Call.Reject] it. Each attempt after a failed one
// goes on to the next of the choice's fallback order, and so does one that finds a
// breaker open; the choice stays what it was. A model that the spending limits leave
// no room for gives way to a cheaper one, or the call is refused with a [LimitError].
//
// An error that no further attempt would mend is permanent; where the provider
// said how long to wait, the next attempt waits that long, unless it may go to
// another provider.
func (r *Router) Call(ctx context.Context, call *Call) error {
	order := r.order(call)
	if len(order) == 0 {
		return fmt.Errorf("call model %s: provider %q is not configured on this node; configured: %s",
			call.Choice.Model, call.Choice.Provider, strings.Join(r.names, ", "))
	}
	turn := nextTurn(order, workflow.FromContext(ctx).Number)
	defer turn.end()
	fallback := turn.target.Arm() != call.Choice.arm()
	choice, held, err := r.afford(ctx, call, turn.choice(call.Choice))
	if err != nil {
		workflow.Summarize(ctx, workflow.Summary{ErrorClass: string(ClassOf(err))})
		return fmt.Errorf("call model %s: %w", choice.Model, err)
	}
	asked := r.target(choice.arm())
	asked.count(choice, fallback)

	asking, stop := r.within(ctx, call, asked)
	defer stop()
	started := time.Now()
	response, err := r.providers[choice.Provider].Complete(asking, r.request(ctx, call, asked.Model))
	latency := time.Since(started)
	if err == nil {
		err = call.Format.check(choice.Provider, response)
	}
	r.heard(ctx, asked, err)

	cost := r.cost(ctx, asked.Model, response.Usage, err)
	record := &record{Call: centralcloud.Call{
		Arm: choice.arm(), TaskType: call.TaskType, Bucket: int(choice.Bucket), Cost: (*int64)(cost), Finish: string(response.Finish),
		PolicyVersion: choice.PolicyVersion, Propensity: choice.Propensity, Fallback: fallback,
		InputDigest: digestOfMessages(call.Messages),
	}}
	if err == nil {
		record.AnswerDigest = digestOf(response.Text)
	}
	r.settle(ctx, held, asked.Model, call.Messages, response, cost, err)
	record.report(ctx, response.Usage, latency, err)
	if err != nil {
		return fmt.Errorf("call model %s: %w", choice.Model, directed(err, elsewhere(order, choice.Provider)))
	}
	record.log(ctx, r.log)

	switch {
	case choice.PolicyVersion == limitedPolicy:
		call.Choice = choice
	case fallback:
		call.StandIn = choice.arm()
	}
	call.Response, call.Cost, call.record = response, cost, record
	// The input keeps the messages. Storing them again after the answer would
	// double a long conversation, and could push an answer that is paid for
	// over the limit of what a state may hold.
	call.Messages = nil
	return nil
}

// request asks a model. Another one than was chosen at first is another thing to
// ask, so that it has another key; so is an attempt whose answer has a format, since
// the one before may not have had it.
func (r *Router) request(ctx context.Context, call *Call, model Model) Request {
	key, attempt := workflow.Key(ctx), workflow.FromContext(ctx).Number
	if key != "" && model.Arm() != call.Choice.arm() {
		key += "/" + model.Name
	}
	if key != "" && attempt > 1 && call.Format != AnyFormat {
		key += "#" + strconv.Itoa(attempt)
	}
	return Request{
		Model:     model.Name,
		TaskType:  call.TaskType,
		Messages:  call.Messages,
		Format:    call.Format,
		MaxTokens: r.maxTokens(model, call.Messages),
		Key:       key,
		Attempt:   attempt,
		OnText:    func(delta string) { workflow.Progress(ctx, TextProgress{Text: delta}) },
	}
}

// TextProgress is what [Router.Call] reports while an answer arrives.
type TextProgress struct {
	Text string `json:"text"` // the next piece
}

// cost prices a call. It is nil when the price or the usage is not known,
// which is worth a warning, unless the call failed before anything was counted.
func (r *Router) cost(ctx context.Context, model Model, usage Usage, err error) *NanoDollars {
	switch {
	case model.Price != nil && usage.Known():
		return new(model.Price.Cost(usage))
	case err != nil:
	case model.Price == nil:
		r.warnOnce(ctx, model, "model has no price in the table of models, its cost is not known")
	default:
		r.warnOnce(ctx, model, "provider does not report usage, the cost of its model is not known")
	}
	return nil
}

func (r *Router) warnOnce(ctx context.Context, model Model, text string) {
	if _, given := r.warned.LoadOrStore([2]string{model.Name, text}, true); !given {
		r.log.WarnContext(ctx, text, "provider", model.Provider, "model", model.Name)
	}
}
