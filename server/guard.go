package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

const (
	// maxBody is the largest request that is read: an input of the largest
	// size as text inside another JSON document, where escaping makes at most
	// three bytes of one, and room for the other fields.
	maxBody = 3*workflow.MaxInput + 64<<10
	// maxBulkBody is that of a request that starts many runs.
	maxBulkBody = 16 << 20
	// bodyTimeout bounds how long a client may take to send it.
	bodyTimeout = 30 * time.Second
)

// bodyLimit is the size of the largest request to a path.
func bodyLimit(path string) int {
	if path == messagesconnect.RunServiceStartRunsProcedure {
		return maxBulkBody
	}
	return maxBody
}

// loopbackHosts are the names by which clients on the same machine call.
var loopbackHosts = []string{"localhost", "127.0.0.1", "::1"}

// guard stands before every route. It refuses, whatever the method, requests
// for hosts that are not ours (DNS rebinding) and requests that a page from
// elsewhere sent (cross-site request forgery), it asks for tokens where they
// are needed, and it reads bodies itself, so that their size and duration are
// bounded while streams of answers are not.
type guard struct {
	admission
	hosts    []string
	origins  *http.CrossOriginProtection
	refusals *connect.ErrorWriter
	next     http.Handler
}

func newGuard(cfg Config, next http.Handler) *guard {
	return &guard{
		admission: admission{cfg.Tokens},
		hosts:     slices.Concat(loopbackHosts, cfg.Hosts),
		origins:   http.NewCrossOriginProtection(),
		refusals:  connect.NewErrorWriter(),
		next:      next,
	}
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := newDeadlineWriter(w)
	defer out.begin() // for what is still in buffers
	out.Header().Set("X-Content-Type-Options", "nosniff")
	if err := errors.Join(g.checkHost(r), g.checkOrigin(r)); err != nil {
		g.refuse(out, r, http.StatusForbidden, connect.NewError(connect.CodePermissionDenied, err))
		return
	}
	needed, served := scopes[r.URL.Path]
	if !served {
		g.refuse(out, r, http.StatusNotFound, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("nothing is served at %s", r.URL.Path)))
		return
	}
	// Strangers are refused before their bodies are read.
	ctx, refusal := g.admit(r, needed)
	if refusal != nil {
		g.refuse(out, r, statusOf(refusal), refusal)
		return
	}
	r = r.WithContext(ctx)
	body, err := readBody(w, r)
	if err != nil {
		status, refusal := explainBody(err, r.URL.Path)
		g.refuse(out, r, status, refusal)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	g.next.ServeHTTP(out, r)
}

// checkHost wants a name of ours, unless callers show tokens: those a browser
// does not send by itself, whatever name it was made to believe.
func (g *guard) checkHost(r *http.Request) error {
	if g.tokens != nil {
		return nil
	}
	name := r.Host
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		name = host
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if !slices.Contains(g.hosts, name) {
		return fmt.Errorf("host %q is not served here; use one of %s", r.Host, strings.Join(g.hosts, ", "))
	}
	return nil
}

// checkOrigin treats reads like writes: what a page may not change it need not
// read either.
func (g *guard) checkOrigin(r *http.Request) error {
	probe := r.WithContext(r.Context())
	probe.Method = http.MethodPost
	if err := g.origins.Check(probe); err != nil {
		return fmt.Errorf("requests from web pages of another origin are refused: %w", err)
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(bodyLimit(r.URL.Path))
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	// Not every ResponseWriter has deadlines; those of net/http servers do.
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		// The deadline stays: the server reads on, for the next request.
		return nil, err
	}
	_ = connection.SetReadDeadline(time.Time{})
	return body, nil
}

// explainBody says what was wrong with a body that could not be read.
func explainBody(err error, path string) (status int, refusal *connect.Error) {
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		advice := "store large data elsewhere and keep a reference to it"
		if path == messagesconnect.RunServiceStartRunsProcedure {
			advice = "start fewer runs at a time"
		}
		return http.StatusRequestEntityTooLarge, refusalOf(connect.CodeInvalidArgument,
			fmt.Errorf("the request is larger than %d bytes; an input may have %d: %s", tooLarge.Limit, workflow.MaxInput, advice),
			&messages.ErrorDetail{Reason: messages.ErrorDetail_REASON_TOO_LARGE, Field: "body", Limit: tooLarge.Limit})
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, connect.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("the request took longer than %s to arrive", bodyTimeout))
	default:
		return http.StatusBadRequest, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("read the request: %w", err))
	}
}

// refuse answers in the protocol of the request. Where that has HTTP statuses,
// it is status.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, status int, refusal *connect.Error) {
	_ = g.refusals.Write(&statusWriter{w, status}, r, refusal) // the client may be gone
}

// statusWriter replaces the HTTP status that stands for an error code.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if status != http.StatusOK { // gRPC's errors are successes of HTTP
		status = w.status
	}
	w.ResponseWriter.WriteHeader(status)
}
