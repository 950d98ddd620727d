package server

import (
	"fmt"
	"io"
	"net/http"
)

// healthRoutes are the handlers by which others see how something fares.
func healthRoutes(observed Observed) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /livez":   http.HandlerFunc(live),
		"GET /readyz":  ready(observed),
		"GET /metrics": metrics(observed),
	}
}

// live answers as long as the process does.
func live(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "ok")
}

// ready answers 200 when work is taken, 503 and why when it is not.
func ready(observed Observed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := observed.Ready(r.Context()); err != nil {
			plain(w, http.StatusServiceUnavailable, fmt.Sprintf("not ready: %v", err))
			return
		}
		plain(w, http.StatusOK, "ready")
	}
}

// welcome tells a person who opened the address in a browser what is there.
func welcome(w http.ResponseWriter, r *http.Request) {
	plain(w, http.StatusOK, fmt.Sprintf("Singularity answers here. Drive it with `singularity --address http://%s`.", r.Host))
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // the client may be gone
}
