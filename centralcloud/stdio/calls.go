package stdio

import "singularity/centralcloud"

// call is one call as a line has it.
type call struct {
	At        float64 `json:"at"`
	TaskType  string  `json:"task_type"`
	Bucket    int     `json:"complexity_bucket"`
	Model     string  `json:"model"`
	Provider  string  `json:"provider"`
	TokensIn  int64   `json:"tokens_in"`
	TokensOut int64   `json:"tokens_out"`
	CostCents float64 `json:"cost_cents"`
	LatencyMS float64 `json:"latency_ms"`
	// Success is absent when nobody judged the answer.
	Success   *bool  `json:"success"`
	ErrorKind string `json:"error_kind"`
}

// rowsOf groups the calls of a batch. A batch comes whole or not at all, and
// again as it was: so each is a boot of its own, and its rows have one revision.
func rowsOf(node, seq string, calls []call) []centralcloud.Row {
	var rows []centralcloud.Row
	index := map[centralcloud.Key]int{}
	for _, c := range calls {
		key := centralcloud.Key{
			Instance: node, Boot: seq, Epoch: centralcloud.EpochOf(int64(c.At)),
			TaskType: c.TaskType, Bucket: c.Bucket,
			Arm: centralcloud.Arm{Provider: c.Provider, Model: c.Model},
		}
		i, found := index[key]
		if !found {
			i = len(rows)
			index[key] = i
			rows = append(rows, centralcloud.Row{Key: key})
		}
		rows[i].Revision++
		rows[i].Merge(c.counters())
	}
	return rows
}

func (c call) counters() centralcloud.Counters {
	if c.ErrorKind != "" && !centralcloud.Answered(c.ErrorKind) {
		return centralcloud.Counters{Errors: map[string]int64{c.ErrorKind: 1}}
	}
	counters := centralcloud.Counters{
		Calls: 1, TokensIn: c.TokensIn, TokensOut: c.TokensOut, Cost: int64(c.CostCents*1e7 + 0.5),
		Latency: centralcloud.SketchOf(int64(c.LatencyMS * 1000)),
	}
	if c.ErrorKind != "" {
		counters.Errors = map[string]int64{c.ErrorKind: 1}
	}
	if c.Success != nil {
		counters.Judged = 1
		if *c.Success {
			counters.Successes, counters.Quality, counters.Squares = 1, 1_000_000, 1_000_000
		}
	}
	return counters
}
