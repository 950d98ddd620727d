package soak

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cpuGroup is a control group whose processes get a twentieth of a processor.
type cpuGroup struct{ root, dir string }

// hierarchies are where control groups are made, by the first version or the
// second, and what limits their processors: 5 ms in 100 ms.
var hierarchies = []struct {
	root   string
	limits map[string]string
}{
	{"/sys/fs/cgroup/cpu", map[string]string{"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "5000"}},
	{"/sys/fs/cgroup", map[string]string{"cpu.max": "5000 100000"}},
}

// newCPUGroup makes a group. It takes the right to write control groups.
func newCPUGroup(name string) (*cpuGroup, error) {
	var problems []error
	for _, h := range hierarchies {
		g := &cpuGroup{h.root, filepath.Join(h.root, name)}
		err := os.Mkdir(g.dir, 0o755)
		if err == nil {
			if err = g.limit(h.limits); err == nil {
				return g, nil
			}
			err = errors.Join(err, os.Remove(g.dir))
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("make a control group: %w", errors.Join(problems...))
}

func (g *cpuGroup) limit(limits map[string]string) error {
	for _, file := range slices.Sorted(maps.Keys(limits)) {
		if err := put(filepath.Join(g.dir, file), limits[file]); err != nil {
			return err
		}
	}
	return nil
}

// put writes a file that the kernel has made.
func put(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// take moves a process into the group.
func (g *cpuGroup) take(pid int) error {
	return put(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(pid))
}

// throttled is in how many periods the processes wanted more than they got.
func (g *cpuGroup) throttled() (int, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, "cpu.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if count, found := strings.CutPrefix(line, "nr_throttled "); found {
			return strconv.Atoi(strings.TrimSpace(count))
		}
	}
	return 0, fmt.Errorf("%s/cpu.stat says nothing of nr_throttled", g.dir)
}

// remove lets the processes go, to where groups begin, and ends the group.
func (g *cpuGroup) remove() error {
	members, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	for pid := range strings.FieldsSeq(string(members)) {
		err = errors.Join(err, put(filepath.Join(g.root, "cgroup.procs"), pid))
	}
	return errors.Join(err, os.Remove(g.dir))
}
