package learner_test

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// largeLedger is two hours of 13 calls a second by 20 arms in 201 cells, 67 tasks
// of three buckets, as a policy spreads them: most of a task's go to few arms.
func largeLedger() (*learner.Ledger, learner.Prices, learner.Config, time.Time) {
	random := rand.New(rand.NewPCG(1, 1))
	ledger := learner.NewLedger()
	var prices learner.Prices
	var arms []centralcloud.Arm
	for a := range 20 {
		arm := centralcloud.Arm{Provider: "p" + strconv.Itoa(a%4), Model: "m" + strconv.Itoa(a)}
		arms = append(arms, arm)
		prices = prices.With(time.Unix(0, 0), price(arm, int64(1+a)))
	}
	const start, epochs = 1_000_000_020, 240
	for e := range int64(epochs) {
		for call := range 400 {
			task := random.IntN(67)
			a := task % 20
			if random.IntN(5) == 0 {
				a = random.IntN(20)
			}
			row := centralcloud.Row{
				Key: centralcloud.Key{
					Instance: "node-" + strconv.Itoa(call%8), Boot: strconv.Itoa(call), Epoch: start + e*30,
					TaskType: "task-" + strconv.Itoa(task), Bucket: random.IntN(3), Arm: arms[a],
				},
				Revision: 1,
				Counters: centralcloud.Counters{Calls: 1, Judged: 1, TokensIn: 100, TokensOut: 50, Latency: centralcloud.SketchOf(random.Int64N(2_000_000))},
			}
			if random.Float64() < 0.5+0.02*float64(a) {
				row.Successes, row.Quality, row.Squares = 1, 1_000_000, 1_000_000
			}
			ledger.Add(row)
		}
	}
	return ledger, prices, learner.Config{Reference: arms[19]}, time.Unix(start+epochs*30, 0)
}

// BenchmarkTick is one policy for 20 arms and 201 cells.
func BenchmarkTick(b *testing.B) {
	ledger, prices, config, now := largeLedger()
	for _, mode := range []centralcloud.Mode{centralcloud.Reference, centralcloud.Utility} {
		b.Run(string(mode), func(b *testing.B) {
			config.Mode = mode
			var memory runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&memory)
			b.ReportAllocs()
			for b.Loop() {
				learner.Learn(ledger, prices, config, now)
			}
			b.ReportMetric(float64(memory.HeapAlloc)/1e6, "MB-held")
		})
	}
}
