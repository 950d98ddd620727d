package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"singularity/workflow"
)

// A workflow is a name and a list of steps over one state.
func ExampleNew() {
	type greeting struct{ Name, Text string }

	greet := workflow.New("greet",
		workflow.Do("compose", func(_ context.Context, g *greeting) error {
			g.Text = "Hello, " + g.Name
			return nil
		}),
		workflow.Do("emphasize", func(_ context.Context, g *greeting) error {
			g.Text += "!"
			return nil
		}),
	)

	ctx := context.Background()
	run, err := greet.Start(ctx, newEngine(greet), greeting{Name: "Ada"})
	if err != nil {
		panic(err)
	}
	out, err := run.Wait(ctx)
	fmt.Println(out.Text, err)
	// Output: Hello, Ada! <nil>
}

// Callers see the input and the output; the state between them is private.
func ExampleDefine() {
	type order struct{ Items []int }
	type receipt struct{ Total int }
	type checkout struct {
		Items []int
		Sum   int
	}

	shop := workflow.Define("checkout",
		func(in order) (checkout, error) { return checkout{Items: in.Items}, nil },
		func(c *checkout) receipt { return receipt{Total: c.Sum} },
		workflow.Do("add_up", func(_ context.Context, c *checkout) error {
			for _, price := range c.Items {
				c.Sum += price
			}
			return nil
		}),
	)

	ctx := context.Background()
	run, err := shop.Start(ctx, newEngine(shop), order{Items: []int{3, 4}})
	if err != nil {
		panic(err)
	}
	out, err := run.Wait(ctx)
	fmt.Printf("%+v %v\n", out, err)
	// Output: {Total:7} <nil>
}

type mailer struct{ from string }

type letter struct{ To, Sent string }

func (m *mailer) send(_ context.Context, l *letter) error {
	l.Sent = m.from + " -> " + l.To
	return nil
}

// A step is a function of the state; a method brings what it needs along.
func ExampleDo() {
	office := &mailer{from: "office"}

	notify := workflow.New("notify",
		workflow.Do("send", office.send).Timeout(10*time.Second),
	)

	ctx := context.Background()
	run, err := notify.Start(ctx, newEngine(notify), letter{To: "ada"})
	if err != nil {
		panic(err)
	}
	out, err := run.Wait(ctx)
	fmt.Println(out.Sent, err)
	// Output: office -> ada <nil>
}

// An agent is a loop: each turn is a checkpoint, and has a key of its own.
func ExampleLoop() {
	type search struct {
		Target, Guess int
	}

	guess := workflow.New("guess",
		workflow.Loop("agent", func(ctx context.Context, s *search) (done bool, err error) {
			s.Guess++
			fmt.Println(workflow.FromContext(ctx).Name, "guesses", s.Guess)
			return s.Guess == s.Target, nil
		}),
	)

	ctx := context.Background()
	if _, err := guess.Start(ctx, newEngine(guess), search{Target: 3}); err != nil {
		panic(err)
	}
	// Output:
	// agent[0] guesses 1
	// agent[1] guesses 2
	// agent[2] guesses 3
}

// A policy says how often a step is tried, and how long to wait in between.
func ExampleStep_Retry() {
	type call struct{ Answer string }

	calls := 0
	ask := workflow.New("ask",
		workflow.Do("call", func(_ context.Context, c *call) error {
			if calls++; calls < 3 {
				return errors.New("no answer")
			}
			c.Answer = "yes"
			return nil
		}).Retry(workflow.Retry{
			Attempts: 4,
			Delays:   []time.Duration{time.Second, time.Minute},
			Jitter:   [2]float64{-1, -1},
		}),
	)

	ctx := context.Background()
	run, err := ask.Start(ctx, newEngine(ask), call{})
	if err != nil {
		panic(err)
	}
	out, err := run.Wait(ctx)
	fmt.Println(out.Answer, err)
	// Output:
	// call: no answer; again in 1s
	// call: no answer; again in 1m0s
	// yes <nil>
}

// An error that no further attempt would mend ends the run.
func ExamplePermanent() {
	type payment struct{ Card string }

	pay := workflow.New("pay",
		workflow.Do("charge", func(_ context.Context, p *payment) error {
			return workflow.Permanent(fmt.Errorf("card %s is blocked", p.Card))
		}),
	)

	ctx := context.Background()
	run, err := pay.Start(ctx, newEngine(pay), payment{Card: "4711"})
	if err != nil {
		panic(err)
	}
	_, err = run.Wait(ctx)
	if failure := (*workflow.RunError)(nil); errors.As(err, &failure) {
		fmt.Println(failure.State)
		fmt.Println(failure.Reason)
	}
	// Output:
	// failed
	// step charge, attempt 1: card 4711 is blocked
}

// A service that says when to come back knows better than any policy.
func ExampleRetryAfter() {
	type page struct{ Body string }

	calls := 0
	fetch := workflow.New("fetch",
		workflow.Do("get", func(_ context.Context, p *page) error {
			if calls++; calls == 1 {
				return workflow.RetryAfter(errors.New("429 too many requests"), 20*time.Second)
			}
			p.Body = "found"
			return nil
		}),
	)

	ctx := context.Background()
	run, err := fetch.Start(ctx, newEngine(fetch), page{})
	if err != nil {
		panic(err)
	}
	out, err := run.Wait(ctx)
	fmt.Println(out.Body, err)
	// Output:
	// get: 429 too many requests; again in 20s
	// found <nil>
}

// Facts are kept for every attempt; the summary is the run's row in
// job_results.
func ExampleRecord() {
	type prompt struct{ Text string }
	type usage struct {
		Model  string `json:"model"`
		Tokens int64  `json:"tokens"`
	}

	complete := workflow.New("complete",
		workflow.Do("call_model", func(ctx context.Context, _ *prompt) error {
			workflow.Record(ctx, "llm_call", usage{"small", 42})
			workflow.Summarize(ctx, workflow.Summary{Model: "small", Tokens: 42})
			return nil
		}),
		workflow.Do("review", func(ctx context.Context, _ *prompt) error {
			workflow.Record(ctx, "llm_call", usage{"large", 100})
			workflow.Summarize(ctx, workflow.Summary{Tokens: 142}) // Model stays
			return nil
		}),
	)

	engine := newEngine(complete)
	if _, err := complete.Start(context.Background(), engine, prompt{Text: "Hello"}); err != nil {
		panic(err)
	}
	for _, fact := range engine.facts {
		fmt.Println(fact.Kind, string(fact.Doc))
	}
	fmt.Println(engine.summary.Model, engine.summary.Tokens)
	// Output:
	// llm_call {"model":"small","tokens":42}
	// llm_call {"model":"large","tokens":100}
	// small 142
}

// The key is the same for every attempt: a service that knows it does the work
// once.
func ExampleKey() {
	type payment struct{ Cents int }

	charged := map[string]int{} // the service, which forgets no key
	calls := 0
	pay := workflow.New("pay",
		workflow.Do("charge", func(ctx context.Context, p *payment) error {
			charged[workflow.Key(ctx)] = p.Cents
			if calls++; calls == 1 {
				return errors.New("connection lost")
			}
			return nil
		}),
	)

	id, err := workflow.ParseRunID("019a0000-0000-7000-8000-000000000001")
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if _, err := pay.StartWith(ctx, newEngine(pay), payment{Cents: 100}, workflow.Options{ID: id}); err != nil {
		panic(err)
	}
	fmt.Println(charged)
	// Output:
	// charge: connection lost; again in 1.1s
	// map[019a0000-0000-7000-8000-000000000001/charge:100]
}

// A start that names its run can be repeated when its answer is lost.
func ExampleWorkflow_StartWith() {
	type report struct{ Month string }

	monthly := workflow.New("report",
		workflow.Do("print", func(_ context.Context, r *report) error {
			fmt.Println("printing", r.Month)
			return nil
		}),
	)

	ctx := context.Background()
	options := workflow.Options{ID: workflow.NewRunID(), Priority: 5}
	engine := newEngine(monthly)
	for range 2 {
		run, err := monthly.StartWith(ctx, engine, report{Month: "March"}, options)
		if err != nil {
			panic(err)
		}
		fmt.Println(run.ID() == options.ID, run.Attached())
	}
	// Output:
	// printing March
	// true false
	// true true
}

// A key makes a second start of the same work find the first run.
func ExampleWorkflow_Key() {
	type signup struct{ Email string }

	welcome := workflow.New("welcome",
		workflow.Do("mail", func(_ context.Context, s *signup) error {
			fmt.Println("welcome", s.Email)
			return nil
		}),
	).Key(func(s signup) string { return s.Email })

	ctx := context.Background()
	engine := newEngine(welcome)
	for range 2 {
		run, err := welcome.Start(ctx, engine, signup{Email: "ada@example.com"})
		if err != nil {
			panic(err)
		}
		fmt.Println("attached:", run.Attached())
	}
	// Output:
	// welcome ada@example.com
	// attached: false
	// attached: true
}

// An input that makes no sense is refused by name before a run exists.
func ExampleInvalid() {
	type transfer struct {
		Cents int `json:"cents"`
	}

	send := workflow.Define("transfer",
		func(in transfer) (transfer, error) {
			if in.Cents <= 0 {
				return in, workflow.Invalid("cents", "must be positive")
			}
			return in, nil
		},
		func(t *transfer) transfer { return *t },
		workflow.Do("send", func(context.Context, *transfer) error { return nil }),
	)

	_, err := send.Start(context.Background(), newEngine(send), transfer{Cents: -5})
	fmt.Println(err)
	// Output: start transfer: invalid input: field "cents" must be positive
}

// A step's body is a function: a test calls it with a context of its own and
// looks at what it reported.
func ExampleNewContext() {
	body := func(ctx context.Context, _ *struct{}) error {
		workflow.Record(ctx, "lookup", map[string]int{"rows": 3})
		return nil
	}

	attempt := &workflow.Attempt{Name: "look_up", Number: 1}
	err := body(workflow.NewContext(context.Background(), attempt), &struct{}{})
	report, reportErr := attempt.Report()
	fmt.Println(err, reportErr, report.Facts[0].Kind, string(report.Facts[0].Doc))
	// Output: <nil> <nil> lookup {"rows":3}
}
