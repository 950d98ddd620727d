package main

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"singularity/messages"
	"singularity/workflow"
)

// queue is a queue as it is printed.
type queue struct {
	workflow.Queue
	OldestSeconds float64                    `json:"oldest_seconds"`
	KeptSeconds   map[workflow.State]float64 `json:"kept_seconds"`
}

func queueOf(message *messages.Queue) queue {
	s := message.GetSettings()
	oldest := message.GetOldest().AsDuration()
	kept := make(map[workflow.State]float64, len(message.GetKeptSeconds()))
	for state, seconds := range message.GetKeptSeconds() {
		kept[workflow.State(state)] = seconds
	}
	return queue{
		Queue: workflow.Queue{
			Name:     message.GetName(),
			PausedAt: optionalTimeOf(message.GetPausedAt()),
			Settings: workflow.QueueSettings{
				NodeLimit:   int(s.GetNodeLimit()),
				GlobalLimit: int(s.GetGlobalLimit()),
				KeyPath:     s.GetKeyPath(),
				KeyLimit:    int(s.GetKeyLimit()),
				Rate:        s.GetRate(),
				Burst:       int(s.GetBurst()),
				KeyRate:     s.GetKeyRate(),
				KeyBurst:    int(s.GetKeyBurst()),

				RetainCompleted: int(s.GetRetainCompletedSeconds()),
				RetainFailed:    int(s.GetRetainFailedSeconds()),
			},
			Slots:     int(message.GetSlots()),
			Available: int(message.GetAvailable()),
			Running:   int(message.GetRunning()),
			Scheduled: int(message.GetScheduled()),
			Retryable: int(message.GetRetryable()),
			Oldest:    oldest,
		},
		OldestSeconds: oldest.Seconds(),
		KeptSeconds:   kept,
	}
}

// kept is for how long runs are kept that ended in a state; those of the other
// state are named where that is different.
func (q queue) kept(state, other workflow.State) string {
	text := retentionText(int(q.KeptSeconds[state]))
	if q.KeptSeconds[state] != q.KeptSeconds[other] {
		text += fmt.Sprintf(", %s %s", other, retentionText(int(q.KeptSeconds[other])))
	}
	return text
}

// age is for how long the oldest run has waited; empty for none.
func (q queue) age() string {
	if q.Oldest == 0 {
		return ""
	}
	return brief(q.Oldest).String()
}

// off is what takes a limit away.
const off = "off"

func orOff(text string) string { return cmp.Or(text, off) }

// limit is the value of a flag such as --global-limit.
type limit struct{ value **int32 }

// String implements [pflag.Value].
func (l *limit) String() string { return "" }

// Type implements [pflag.Value].
func (l *limit) Type() string { return "N|off" }

// Set implements [pflag.Value].
func (l *limit) Set(text string) error {
	if text == off {
		*l.value = new(int32(0))
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is not a limit; expected a number from 1, or off for none", text)
	}
	*l.value = new(int32(n))
	return nil
}

// limitText is empty for none.
func limitText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// keyPath is the value of --key.
type keyPath struct{ value **string }

// String implements [pflag.Value].
func (k *keyPath) String() string { return "" }

// Type implements [pflag.Value].
func (k *keyPath) Type() string { return "PATH|off" }

// Set implements [pflag.Value]. What a path may be, the node knows.
func (k *keyPath) Set(text string) error {
	if text == off {
		text = ""
	}
	*k.value = &text
	return nil
}

// units are those of a rate, the shortest first.
var units = []struct {
	name    string
	seconds float64
}{{"s", 1}, {"m", 60}, {"h", 3600}}

// rate is the value of a flag such as --rate: so many a second.
type rate struct{ value **float64 }

// String implements [pflag.Value].
func (r *rate) String() string { return "" }

// Type implements [pflag.Value].
func (r *rate) Type() string { return "N/s|off" }

// Set implements [pflag.Value].
func (r *rate) Set(text string) error {
	if text == off {
		*r.value = new(float64(0))
		return nil
	}
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(number, 64)
	for _, u := range units {
		if err == nil && u.name == unit && n > 0 && !math.IsInf(n, 1) {
			*r.value = new(n / u.seconds)
			return nil
		}
	}
	return fmt.Errorf("%q is not a rate; expected one as 5/s, 300/m or 1000/h, or off for none", text)
}

// rateText is a rate in the shortest unit in which it is 1 or more with two
// decimals, and a second if there is none; empty for none.
func rateText(perSecond float64) string {
	if perSecond == 0 {
		return ""
	}
	for _, unit := range units {
		n := perSecond * unit.seconds
		if short := math.Round(100*n) / 100; short >= 1 && math.Abs(n-short) < 1e-9*n {
			return strconv.FormatFloat(short, 'f', -1, 64) + "/" + unit.name
		}
	}
	return strconv.FormatFloat(perSecond, 'g', 6, 64) + "/s"
}

// retention is the value of a flag such as --retain-failed: an age in seconds.
type retention struct{ value **int32 }

// String implements [pflag.Value].
func (r *retention) String() string { return "" }

// Type implements [pflag.Value].
func (r *retention) Type() string { return "AGE|off" }

// Set implements [pflag.Value].
func (r *retention) Set(text string) error {
	if text == off {
		*r.value = new(int32(0))
		return nil
	}
	age, err := parseAge(text)
	if err != nil || age < time.Second || age.Seconds() > math.MaxInt32 {
		return fmt.Errorf("%q is not an age; expected one from a second as 90m, 24h or 30d, or off", text)
	}
	*r.value = new(int32(age.Seconds()))
	return nil
}

// retentionText is an age as people write it; empty for none.
func retentionText(seconds int) string {
	const day = 24 * 60 * 60
	switch {
	case seconds == 0:
		return ""
	case seconds%day == 0:
		return strconv.Itoa(seconds/day) + "d"
	default:
		return brief(time.Duration(seconds) * time.Second).String()
	}
}

func burstText(perSecond float64, burst int) string {
	if perSecond == 0 || burst == 0 {
		return rateText(perSecond)
	}
	return fmt.Sprintf("%s, burst %d", rateText(perSecond), burst)
}
