package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"singularity/messages"
	"singularity/workflow"
)

// pageBytes is about how large a call is that starts many runs. One takes more
// than that by a single input at most.
const pageBytes = 12 << 20

// startMany starts a run for each line of a file, page by page: the runs of a
// page are started all or none. Their ids count up from that of the template,
// so that a file that is started again finds the runs of before. A batch with an
// id is theirs, and closed once all are started.
func (c *cli) startMany(ctx context.Context, node *client, name string, template *messages.StartRunRequest, batch *messages.Batch) error {
	first, err := workflow.ParseRunID(template.GetId())
	if err != nil {
		return err
	}
	file, err := c.openInputs(name)
	if err != nil {
		return usagef("--inputs: %w", err)
	}
	defer file.Close()
	var (
		lines    = newInputLines(name, file)
		started  = []startedRun{} // never nil: an empty list is [] in JSON
		progress = c.progress()
	)
	for {
		page, err := lines.page(func(document string) *messages.StartRunRequest {
			start := proto.CloneOf(template)
			start.Id, start.InputJson = first.Offset(lines.count).String(), document
			return start
		})
		if err != nil {
			return lines.explain(ctx, err, false, len(started), first)
		}
		request := &messages.StartRunsRequest{Runs: page}
		if batch.GetId() != "" {
			batch.Last = len(page) == 0
			request.Batch = batch
		}
		if len(page) == 0 && request.GetBatch() == nil {
			break
		}
		response, lost, err := repeatLost(ctx, c, func() (*messages.StartRunsResponse, error) {
			return node.runs.StartRuns(ctx, request)
		})
		if err != nil {
			return lines.explain(ctx, err, lost && away(err), len(started), first)
		}
		for _, run := range response.GetRuns() {
			started = append(started, startedRun{run.GetId(), run.GetAttached()})
		}
		if len(page) == 0 {
			break
		}
		progress.reached(len(started))
	}
	progress.end(len(started))
	return c.printStarted(started, batch.GetId())
}

// openInputs opens the file of --inputs, or stdin.
func (c *cli) openInputs(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.stdin), nil
	}
	return os.Open(name)
}

// startedRun is a run of many.
type startedRun struct {
	ID       string `json:"id"`
	Attached bool   `json:"attached"`
}

func (c *cli) printStarted(started []startedRun, batch string) error {
	attached := 0
	for _, run := range started {
		if run.Attached {
			attached++
		}
	}
	return c.print(started, func(t *table) {
		t.row("STARTED", len(started)-attached)
		t.row("ATTACHED", attached)
		if batch != "" {
			t.row("BATCH", batch)
		}
		if len(started) > 0 {
			t.row("FIRST ID", started[0].ID)
			t.row("LAST ID", started[len(started)-1].ID)
		}
	})
}

// inputLines are the lines of a file, one input each; empty ones are none.
type inputLines struct {
	name    string
	scanner *bufio.Scanner
	line    int   // the last that was read
	count   int   // of the inputs so far
	numbers []int // of the lines of the last page
}

func newInputLines(name string, file io.Reader) *inputLines {
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, workflow.MaxInput+2) // and the end of the line
	return &inputLines{name: name, scanner: scanner}
}

// page makes requests of the next lines; none at the end of the file.
func (l *inputLines) page(request func(document string) *messages.StartRunRequest) ([]*messages.StartRunRequest, error) {
	var page []*messages.StartRunRequest
	l.numbers = l.numbers[:0]
	for size := 0; len(page) < workflow.MaxStarts && size < pageBytes && l.scanner.Scan(); {
		l.line++
		document := bytes.TrimSpace(l.scanner.Bytes())
		if len(document) == 0 {
			continue
		}
		if !utf8.Valid(document) {
			return nil, fmt.Errorf("%s, line %d: is not UTF-8", l.name, l.line)
		}
		start := request(string(document))
		size += proto.Size(start)
		page = append(page, start)
		l.numbers = append(l.numbers, l.line)
		l.count++
	}
	switch err := l.scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s, line %d: is longer than %d bytes, the limit of an input; store large data elsewhere and keep a reference to it",
			l.name, l.line+1, workflow.MaxInput)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", l.name, err)
	}
	return page, nil
}

// explain says which line an error of the last page is about, and how to go on.
// lost says that the runs of the page may be started all the same.
func (l *inputLines) explain(ctx context.Context, err error, lost bool, started int, first workflow.RunID) error {
	goOn := fmt.Sprintf("repeat the command with --id %s to go on", first)
	perhaps := fmt.Sprintf("%d runs are started, and perhaps the next %d; %s", started, len(l.numbers), goOn)
	if ctx.Err() != nil {
		return &interruptedError{perhaps}
	}
	if detail := detailOf(err); detail != nil && detail.Index != nil && int(detail.GetIndex()) < len(l.numbers) {
		err = fmt.Errorf("%s, line %d: %w", l.name, l.numbers[detail.GetIndex()], ofStart(int(detail.GetIndex()), err))
		if started == 0 {
			err = fmt.Errorf("%w; none of the runs was started", err)
		}
	}
	switch {
	case lost:
		return fmt.Errorf("%s: %w", perhaps, err)
	case started > 0:
		return fmt.Errorf("%d runs are started; %s after this: %w", started, goOn, err)
	default:
		return err
	}
}

// ofStart is the error of one of many starts without its place among them, which the
// line of a file says better.
func ofStart(index int, err error) error {
	refusal, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	reason := errors.New("?")
	before, after, _ := strings.Cut((&workflow.StartError{Index: index, Err: reason}).Error(), reason.Error())
	message := strings.TrimSuffix(strings.Replace(refusal.Message(), before, "", 1), after)
	bare := connect.NewWireError(refusal.Code(), errors.New(message))
	for _, detail := range refusal.Details() {
		bare.AddDetail(detail)
	}
	return bare
}

// progress says on stderr how many runs are started: to a person in one line that
// changes, to others once a second.
type progress struct {
	view *liveView
	out  io.Writer // nil for a person
	said time.Time
	last int
}

func (c *cli) progress() *progress {
	p := &progress{view: c.liveView(), last: -1}
	if !isTerminal(c.stderr) {
		p.out = c.stderr
	}
	return p
}

func (p *progress) reached(count int) {
	p.view.say(startedText(count))
	if p.out != nil && time.Since(p.said) >= time.Second {
		p.line(count)
	}
}

func (p *progress) end(count int) {
	p.view.clear()
	if p.out != nil && count != p.last {
		p.line(count)
	}
}

// line ignores errors: progress is a courtesy.
func (p *progress) line(count int) {
	_, _ = fmt.Fprintln(p.out, startedText(count))
	p.said, p.last = time.Now(), count
}

func startedText(count int) string { return fmt.Sprintf("%d runs started", count) }
