package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the kernel's unit of the time of processes.
const tick = 10 * time.Millisecond

// processStat are what the kernel says of a process, from its state on; nothing
// of one that has ended.
func processStat(pid string) []string {
	text, _ := os.ReadFile("/proc/" + pid + "/stat")
	_, fields, _ := strings.Cut(string(text), ") ")
	return strings.Fields(fields)
}

// Fields of processStat.
const (
	parentField = 1
	userField   = 11 // the next is of the system, and two more are of the children that have ended
)

func ticks(fields []string) time.Duration {
	var sum time.Duration
	for _, field := range fields {
		count, _ := strconv.Atoi(field)
		sum += time.Duration(count) * tick
	}
	return sum
}

// processTime is what a process has had of a processor.
func processTime(pid int) time.Duration {
	stat := processStat(strconv.Itoa(pid))
	if len(stat) < userField+2 {
		return 0
	}
	return ticks(stat[userField : userField+2])
}

// familyTime is what a process and its children have had, those that have ended
// too.
func familyTime(pid int) time.Duration {
	parent := strconv.Itoa(pid)
	var sum time.Duration
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		id := filepath.Base(filepath.Dir(file))
		switch stat := processStat(id); {
		case len(stat) < userField+4:
		case id == parent:
			sum += ticks(stat[userField : userField+4])
		case stat[parentField] == parent:
			sum += ticks(stat[userField : userField+2])
		}
	}
	return sum
}

// peakMemory is the most memory that a process ever had, in KiB.
func peakMemory(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if size, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, _ := strconv.Atoi(strings.Fields(size)[0])
			return kib
		}
	}
	return 0
}
