package soak

import (
	"strconv"
	"strings"
)

// cpuTime is what the processors of the machine did, in ticks.
type cpuTime struct{ busy, all float64 }

// readCPU reads the first line of /proc/stat: user, nice, system, idle, iowait
// and more.
func readCPU() cpuTime {
	var now cpuTime
	for i, field := range strings.Fields(strings.TrimPrefix(firstLine("/proc/stat"), "cpu")) {
		ticks, _ := strconv.ParseFloat(field, 64)
		now.all += ticks
		if i != 3 && i != 4 {
			now.busy += ticks
		}
	}
	return now
}

// share is how busy the machine was from then on, 0 to 1.
func (c cpuTime) share(now cpuTime) float64 {
	if now.all == c.all {
		return 0
	}
	return (now.busy - c.busy) / (now.all - c.all)
}
