package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// transport puts the key into each request, and notes for the [Call] that it
// belongs to what the SDKs drop of its answer.
type transport struct {
	next      http.RoundTripper
	authorise func(http.Header) // a function, because fmt would print a field that holds the key
}

func newTransport(next http.RoundTripper, dialect Dialect, key string) *transport {
	if next == nil {
		next = roomyTransport()
	}
	return &transport{next: next, authorise: func(header http.Header) {
		if key != "" {
			dialect.Authorise(header, key)
		}
	}}
}

// roomyTransport is the default one with room for many runs that call one host.
func roomyTransport() http.RoundTripper {
	roomy, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // the program has put its own there
	}
	roomy = roomy.Clone()
	roomy.MaxIdleConnsPerHost = 64
	return roomy
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	signed := req.Clone(req.Context())
	for _, header := range credentials {
		signed.Header.Del(header) // what an SDK put there in want of the key
	}
	t.authorise(signed.Header)
	res, err := t.next.RoundTrip(signed)
	if err != nil {
		return nil, err
	}
	res.Request = req // the one without the key
	if call := callOf(req.Context()); call != nil {
		call.note(res)
	}
	return res, nil
}

// credentials are the headers in which the known protocols carry a key.
var credentials = []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key"}

const (
	// maxBody bounds what a call reads, so that no server can fill the memory. It
	// leaves room for the envelopes around each token of a text of llm.MaxText.
	maxBody = 128 << 20
	// maxErrorBody is how much of an error's body is worth reading.
	maxErrorBody = 64 << 10
)

// note keeps an answer's head, the document of an error, and how the body ends.
func (c *Call) note(res *http.Response) {
	c.status, c.header = res.StatusCode, res.Header
	bounded := http.MaxBytesReader(nil, res.Body, maxBody)
	if res.StatusCode < 400 {
		res.Body = &body{bounded, c}
		return
	}
	c.document, _ = io.ReadAll(io.LimitReader(bounded, maxErrorBody)) // whatever there is
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(c.document))
}

// body keeps the error that it breaks with for its call, and shows the SDK an
// end instead: some log what they meet.
type body struct {
	io.ReadCloser
	call *Call
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.call.broken = err
		err = io.EOF
	}
	return n, err
}
