// Package wire is what all providers that speak HTTP share, whatever SDK they
// speak through: one transport, one watchdog over silence, and one way to make
// an [llm.Error] of what a server or the network says.
//
// A [Server] is built from a [Dialect], which says what tells one protocol from
// another. Each call of a provider is a [Call]: it watches the time, keeps what
// the SDKs drop of an answer, and explains its end.
//
// The SDKs never see the key. The transport puts it into a copy of each request
// on its way out, so that no error, log or panic of an SDK can hold it, and what
// servers quote of it is cut out of every text.
package wire

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"singularity/llm"
)

// Config configures a [Server].
type Config struct {
	Timeouts llm.Timeouts
	// Transport sends the requests. Defaults to one of the server's own.
	Transport http.RoundTripper
}

// Dialect is what tells one protocol from another.
type Dialect struct {
	Provider string // the name that errors bear
	BaseURL  string // of the vendor's own server, for which a key is needed
	// Authorise puts the key into the head of a request.
	Authorise func(header http.Header, key string)
	// Read makes sense of the document of an error, which may be anything. The
	// status is that of the answer; 0 for an error within a stream.
	Read func(status int, document []byte) Fault
}

// Fault is what a server says went wrong. Words that may quote the key go into
// Message: it is dropped when the key is what the server complains of.
type Fault struct {
	Class      llm.Class
	Code       string
	Message    string
	RetryAfter time.Duration
}

// Server is one server of a provider.
type Server struct {
	BaseURL string
	Client  *http.Client // for the SDK

	dialect  Dialect
	timeouts llm.Timeouts
	clean    func(text string) error
}

// NewServer returns the server at baseURL, empty for the vendor's own. The key
// goes to that server only: redirects are refused.
func NewServer(dialect Dialect, baseURL, key string, config Config) (*Server, error) {
	problems := []error{config.Timeouts.Validate()}
	if baseURL == "" && key == "" {
		problems = append(problems, errors.New("no API key; expected a key, or the base URL of a server that needs none"))
	}
	baseURL = cmp.Or(baseURL, dialect.BaseURL)
	problems = append(problems, dialect.checkBaseURL(baseURL))
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		problems = append(problems, errors.New("the API key has characters that no key has; check it for spaces and line breaks"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("provider %s: %w", dialect.Provider, err)
	}
	return &Server{
		BaseURL:  baseURL,
		Client:   &http.Client{Transport: newTransport(config.Transport, dialect, key), CheckRedirect: refuseRedirect},
		dialect:  dialect,
		timeouts: config.Timeouts.WithDefaults(),
		clean:    cleaner(key),
	}, nil
}

// checkBaseURL refuses what the SDKs would refuse at the first call, or pass on
// to error texts. It does not quote the text, which may be a misplaced key.
func (d Dialect) checkBaseURL(text string) error {
	base, err := url.Parse(text)
	switch {
	case err != nil, base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return errors.New("the base URL is not an HTTP URL; expected one such as " + d.BaseURL)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return errors.New("the base URL has a user, a query or a fragment; expected only scheme, host and path, and the key apart from it")
	}
	return nil
}

func refuseRedirect(*http.Request, []*http.Request) error {
	return errors.New("the server redirects; use the URL that it redirects to as base URL")
}
