package server

import (
	"net/http"
	"time"
)

// writeTimeout is how long a client may take to accept a piece of an answer.
const writeTimeout = 30 * time.Second

// deadlineWriter gives up on clients that do not read: each write has a
// deadline, while the pauses of a stream have none.
type deadlineWriter struct {
	http.ResponseWriter
	connection *http.ResponseController
}

func newDeadlineWriter(w http.ResponseWriter) *deadlineWriter {
	return &deadlineWriter{w, http.NewResponseController(w)}
}

// Unwrap is for [http.ResponseController].
func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements [http.ResponseWriter].
func (w *deadlineWriter) Write(p []byte) (int, error) {
	w.begin()
	defer w.end()
	return w.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher].
func (w *deadlineWriter) Flush() {
	w.begin()
	defer w.end()
	_ = w.connection.Flush() // the next write tells
}

// begin starts the time. Not every ResponseWriter has deadlines; those of
// net/http servers do. On HTTP/2 the time runs while nothing is written, too,
// so it has to be stopped.
func (w *deadlineWriter) begin() { _ = w.connection.SetWriteDeadline(time.Now().Add(writeTimeout)) }

func (w *deadlineWriter) end() { _ = w.connection.SetWriteDeadline(time.Time{}) }
