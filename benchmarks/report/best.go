package report

import "slices"

// Best holds Singularity against the floor and the best of the peers, where
// all had the same number of workflows in flight.
type Best struct {
	StateBytes int `json:"state_bytes"`
	InFlight   int `json:"in_flight"`
	// Peer is the fastest of the peers: by its median where one workflow is in
	// flight, else by its rate.
	Peer string `json:"best_peer"`
	// FloorRatio and PeerRatio say how many times the floor's and the peer's
	// median Singularity's is where one workflow is in flight (less is better),
	// and else how many times their rate its rate is (more is better).
	FloorRatio float64 `json:"singularity_by_floor"`
	PeerRatio  float64 `json:"singularity_by_best_peer"`
}

// Bests finds the best peer of each state size and number in flight. Peers are
// all contenders but ours and those that are no engine.
func Bests(rows []Row, ours string, noEngines ...string) []Best {
	var bests []Best
	for _, our := range rows {
		if our.Contender != ours {
			continue
		}
		best, found := bestPeer(rows, our.Cell, append(noEngines, ours))
		if !found {
			continue
		}
		b := Best{StateBytes: our.StateBytes, InFlight: our.InFlight, Peer: best.Contender}
		if our.InFlight == 1 {
			b.FloorRatio, b.PeerRatio = our.P50Ratio, our.P50/best.P50
		} else {
			b.FloorRatio, b.PeerRatio = our.RateRatio, our.PerSecond/best.PerSecond
		}
		bests = append(bests, b)
	}
	return bests
}

func bestPeer(rows []Row, at Cell, others []string) (best Row, found bool) {
	for _, row := range rows {
		if slices.Contains(others, row.Contender) || row.StateBytes != at.StateBytes || row.InFlight != at.InFlight {
			continue
		}
		if !found || at.InFlight == 1 && row.P50 < best.P50 || at.InFlight > 1 && row.PerSecond > best.PerSecond {
			best, found = row, true
		}
	}
	return best, found
}
