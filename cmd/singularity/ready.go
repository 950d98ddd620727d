package main

// readiness is where a node is, once it is there.
type readiness struct {
	URL      string `json:"url"`
	PID      int    `json:"pid"`
	Instance string `json:"instance_id"`
	DataDir  string `json:"data_dir,omitempty"` // empty: in memory, or in a shared database
	Provider string `json:"provider"`
	Tokens   bool   `json:"tokens"`            // clients need one
	CAFile   string `json:"ca_file,omitempty"` // that clients need
}

// firstRequest is what a newcomer may try.
const firstRequest = `{"request_id":"r1","task_type":"classifier","messages":[{"role":"user","content":"Is this spam?"}]}`

// printReady says where the node is and what to do with it.
func (c *cli) printReady(ready readiness, data string) error {
	return c.print(ready, func(t *table) {
		t.row("URL", ready.URL)
		t.row("PID", ready.PID)
		t.row("INSTANCE", ready.Instance)
		t.row("DATA", data)
		t.row("MODELS", ready.Provider)
		program := "singularity"
		if ready.URL != defaultAddress {
			program += " --address " + ready.URL
		}
		if ready.CAFile != "" {
			program += " --ca-file " + ready.CAFile
		}
		if ready.Tokens {
			t.row("ACCESS", "with SINGULARITY_TOKEN set to a token; `singularity token create --scope run` makes one")
		}
		t.row("TRY", program+" run start llm_request --wait --input '"+firstRequest+"'")
	})
}
