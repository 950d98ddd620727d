package server

import (
	"fmt"
	"io"
	"net/http"
)

// live answers as long as the process does.
func live(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "ok")
}

// ready answers 200 when the engine takes work, 503 and why when it does not.
func ready(engine Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := engine.Ready(r.Context()); err != nil {
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
