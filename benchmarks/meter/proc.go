package meter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of processor times in /proc, see proc_pid_stat(5). It is
// 10 ms on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// processors are times that have been spent so far.
type processors struct {
	client, server, machine time.Duration
}

func readProcessors(client, postmaster int) (processors, error) {
	var p processors
	own, err := readProcess(client)
	if err != nil {
		return p, err
	}
	p.client = own.self
	server, err := readProcess(postmaster)
	if err != nil {
		return p, err
	}
	p.server = server.self + server.waitedFor // sessions that have ended are in the latter
	children, err := childrenOf(postmaster)
	if err != nil {
		return p, err
	}
	for _, child := range children {
		p.server += child.self
	}
	p.machine, err = readMachine()
	return p, err
}

// process is what /proc says of one.
type process struct {
	pid, parent     int
	self, waitedFor time.Duration // waitedFor is the time of its children that have ended
}

func readProcess(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	return parseProcess(pid, string(stat))
}

func parseProcess(pid int, stat string) (process, error) {
	_, rest, found := strings.Cut(stat[max(strings.LastIndexByte(stat, ')'), 0):], ") ") // the name may hold anything
	fields := strings.Fields(rest)
	if !found || len(fields) < 15 {
		return process{}, fmt.Errorf("/proc/%d/stat is not understood: %q", pid, stat)
	}
	numbers := make([]int, 5)
	for i, field := range []int{1, 11, 12, 13, 14} { // ppid, utime, stime, cutime, cstime
		number, err := strconv.Atoi(fields[field])
		if err != nil {
			return process{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		numbers[i] = number
	}
	return process{
		pid:       pid,
		parent:    numbers[0],
		self:      time.Duration(numbers[1]+numbers[2]) * tick,
		waitedFor: time.Duration(numbers[3]+numbers[4]) * tick,
	}, nil
}

func childrenOf(parent int) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var children []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		child, err := readProcess(pid)
		switch {
		case gone(err):
		case err != nil:
			return nil, err
		case child.parent == parent:
			children = append(children, child)
		}
	}
	return children, nil
}

// gone says that a process has ended while it was looked at.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// readMachine is the time that all processors were busy.
func readMachine() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat is not understood: %q", line)
	}
	var busy time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		busy += time.Duration(ticks) * tick
	}
	return busy, nil
}

func residentBytes(pid int) (int64, error) {
	return kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
}

// proportionalBytes counts pages that processes share once.
func proportionalBytes(postmaster int) (int64, error) {
	children, err := childrenOf(postmaster)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, p := range append(children, process{pid: postmaster}) {
		bytes, err := kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid), "Pss:")
		if err != nil && !gone(err) {
			return 0, err
		}
		total += bytes
	}
	return total, nil
}

// kilobytes reads a line such as "Pss: 12 kB".
func kilobytes(file, name string) (int64, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name {
			number, err := strconv.ParseInt(fields[1], 10, 64)
			return number * 1024, err
		}
	}
	return 0, fmt.Errorf("%s says no %s", file, name)
}
