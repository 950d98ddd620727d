//go:build faulttest

package main

import (
	"encoding/json"
	"net/http"
	"os"

	"singularity/cluster/gossip"
	"singularity/cluster/remoting"
	"singularity/internal/faultnet"
)

// The network can be one that breaks when it is told to.
func init() {
	if os.Getenv("SINGULARITY_FAULT_NETWORK") != "on" {
		return
	}
	gossip.Over(faultnet.Transport)
	remoting.Over(faultnet.Dial)
	beside = func(api http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /network", tellLost)
		mux.HandleFunc("POST /network", suffer)
		mux.Handle("/", api)
		return mux
	}
}

// suffer takes in which losses there are.
func suffer(w http.ResponseWriter, r *http.Request) {
	var losses map[string]faultnet.Loss
	if err := json.NewDecoder(r.Body).Decode(&losses); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	faultnet.Suffer(losses)
	tellLost(w, r)
}

// tellLost says how much was lost.
func tellLost(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(faultnet.Lost())
}
