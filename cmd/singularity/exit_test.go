package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"singularity/server"
	"singularity/server/servertest"
	"singularity/workflow"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err    error
		code   int
		advice string
	}{
		{nil, exitDone, ""},
		{workflow.Invalid("name", "is empty"), exitRefused, `field "name" is empty`},
		{&workflow.LimitError{What: "input", Size: 2, Limit: 1}, exitRefused, "limit is 1"},
		{&workflow.KeyConflictError{Workflow: "greet", Key: "k", Run: id(completedRun)}, exitRefused, "run get " + completedRun},
		{&workflow.UnknownMessageError{PID: "run/x", Type: "sing", Known: []string{"ping", "cancel"}}, exitRefused, "takes ping, cancel"},
		{workflow.ErrUnknownWorkflow, exitUnknown, "workflow list"},
		{workflow.ErrRunNotFound, exitUnknown, "run list"},
		{workflow.ErrAgentNotFound, exitUnknown, "agent list"},
		{workflow.ErrActorNotFound, exitUnknown, "cluster actors"},
		{workflow.ErrStepUnknown, exitRefused, "run get"},
		{workflow.ErrWrongState, exitRefused, "run get"},
		{workflow.ErrNothingToScore, exitRefused, "run steps"},
		{workflow.ErrNodesNotReady, exitRefused, "cluster keys list"},
		{workflow.ErrQueueFull, exitRefused, "try again"},
		{workflow.ErrUnavailable, exitUnknown, "doctor"},
		{workflow.ErrDraining, exitUnknown, "--address"},
		{workflow.ErrOutcomeUnknown, exitUnknown, ""},
		{context.DeadlineExceeded, exitUnknown, ""},
		{errors.New("disk on fire"), exitRefused, "disk on fire"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.err), func(t *testing.T) {
			t.Parallel()
			engine := engineWithAll()
			engine.Err = test.err
			got := at(serve(t, engine), "send", "run/x", "ping").run(t.Context())
			if got.code != test.code {
				t.Errorf("got exit code %d, want %d", got.code, test.code)
			}
			if test.err == nil {
				return
			}
			if got.stdout != "" || !strings.HasPrefix(got.stderr, "error: ") || !strings.Contains(got.stderr, test.err.Error()) || !strings.Contains(got.stderr, test.advice) {
				t.Errorf("got stdout %q, stderr %q, want the error and %q on stderr", got.stdout, got.stderr, test.advice)
			}
		})
	}
}

func TestNothingAnswers(t *testing.T) {
	t.Parallel()
	const address = "http://127.0.0.1:1"
	for _, line := range []string{"run list", "run start greet --wait", "run wait " + completedRun, "send run/x ping"} {
		got := at(address, strings.Fields(line)...).run(t.Context())
		want := fmt.Sprintf("error: nothing answers at %s; start one with `singularity dev` or set --address\n", address)
		if got != (result{exitUnknown, "", want}) {
			t.Errorf("%s: got %+v", line, got)
		}
	}
}

func TestSomethingElseAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]http.Handler{
		"not found": http.NotFoundHandler(),
		"web page": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>")
		}),
		"redirect": http.RedirectHandler("http://localhost:1/", http.StatusTemporaryRedirect),
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := httptest.NewServer(handler)
			defer other.Close()
			for _, line := range []string{"run list", "run wait " + completedRun} {
				got := at(other.URL, strings.Fields(line)...).run(t.Context())
				if got.code != exitUnknown || !strings.Contains(got.stderr, other.URL+" is not a node") || !strings.Contains(got.stderr, "--address") {
					t.Errorf("%s: got %+v", line, got)
				}
			}
		})
	}
}

func TestHostIsNotServed(t *testing.T) {
	t.Parallel()
	address := serve(t, engineWithAll())
	got := at(strings.Replace(address, "127.0.0.1", "127.0.0.2", 1), "run", "list").run(t.Context())
	if got.code == exitDone {
		t.Errorf("got %+v, want a refusal", got)
	}
}

func TestReplyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	got := at(serve(t, &servertest.Engine{}), "send", "run/x", "ping", "--timeout", "10ms").run(t.Context())
	if got.code != exitUnknown || !strings.Contains(got.stderr, "--timeout") {
		t.Errorf("got %+v, want exit code 3 and advice", got)
	}
}

func TestAddressWithoutScheme(t *testing.T) {
	t.Parallel()
	address := serve(t, engineWithAll())
	if got := at(strings.TrimPrefix(address, "http://")+"/", "agent", "list").run(t.Context()); got.code != exitDone {
		t.Errorf("got %+v", got)
	}
}

func TestNodeBelowAPath(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle("/flows/", http.StripPrefix("/flows", server.Handler(engineWithAll(), server.Config{})))
	listening := httptest.NewServer(mux)
	defer listening.Close()
	if got := at(listening.URL+"/flows", "agent", "list").run(t.Context()); got.code != exitDone {
		t.Errorf("got %+v", got)
	}
}
