package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Write writes the report as Markdown that can be read as it is.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s; %s. Medians of %d rounds in turn, %g s a measurement, [least-most].\n\n",
		r.At.Format(time.DateTime), r.Machine, r.Postgres, r.Rounds, r.Seconds)
	var contenders table
	contenders.row("contender", "version", "what is measured")
	for _, c := range r.Contenders {
		contenders.row(c.Name, c.Version, c.Settings)
	}
	contenders.write(&b)
	for _, group := range groups(r.Rows) {
		r.writeGroup(&b, group)
	}
	r.writeBests(&b)
	for _, failure := range r.Failures {
		fmt.Fprintf(&b, "Failed: %s\n", failure)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// groups are the rows of one state size and number in flight each.
func groups(rows []Row) [][]Row {
	var order []Cell
	byCell := map[Cell][]Row{}
	for _, row := range rows {
		cell := Cell{StateBytes: row.StateBytes, InFlight: row.InFlight}
		if byCell[cell] == nil {
			order = append(order, cell)
		}
		byCell[cell] = append(byCell[cell], row)
	}
	var all [][]Row
	for _, cell := range order {
		all = append(all, byCell[cell])
	}
	return all
}

func (r Report) writeGroup(b *strings.Builder, rows []Row) {
	fmt.Fprintf(b, "%d in flight, %d bytes of state:\n\n", rows[0].InFlight, rows[0].StateBytes)
	var t table
	t.row("contender", "p50 ms", "p95", "p99", "x floor", "workflows/s", "x floor", "n",
		"statements", "commits", "WAL kB", "CPU ms client", "+ server", "MiB client", "server", "other cores")
	disturbed := false
	for _, row := range rows {
		name := row.Contender
		if row.Disturbed() {
			disturbed = true
			name += " (!)"
		}
		t.row(name,
			fmt.Sprintf("%s [%s-%s]", number(row.P50), number(row.P50Range[0]), number(row.P50Range[1])), number(row.P95), number(row.P99),
			number(row.P50Ratio),
			fmt.Sprintf("%s [%s-%s]", number(row.PerSecond), number(row.RateRange[0]), number(row.RateRange[1])),
			number(row.RateRatio), fmt.Sprint(row.Workflows),
			number(row.Statements), number(row.Commits), number(row.WALBytes/1000),
			number(row.ClientCPU), number(row.ServerCPU), number(row.ClientMiB), number(row.ServerMiB), number(row.OtherCores))
	}
	t.write(b)
	if disturbed {
		fmt.Fprintf(b, "(!) Something else kept more than %g cores busy: do not trust this row.\n\n", disturbance)
	}
}

func (r Report) writeBests(b *strings.Builder) {
	if len(r.Bests) == 0 {
		return
	}
	var t table
	t.row("singularity at", "bytes", "is", "of the floor's", "and of the best peer's", "which is")
	for _, best := range r.Bests {
		what := "rate"
		if best.InFlight == 1 {
			what = "p50"
		}
		t.row(fmt.Sprintf("%d in flight", best.InFlight), fmt.Sprint(best.StateBytes),
			what, number(best.FloorRatio)+" x", number(best.PeerRatio)+" x", best.Peer)
	}
	t.write(b)
}

// number writes three digits that matter.
func number(value float64) string {
	switch {
	case value == 0:
		return "0"
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	case value >= 1:
		return fmt.Sprintf("%.2f", value)
	default:
		return fmt.Sprintf("%.3f", value)
	}
}

// table is one of Markdown, its columns aligned. The first row is the head.
type table struct {
	rows [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(b *strings.Builder) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range t.rows {
		for column, cell := range row {
			fmt.Fprintf(b, "| %-*s ", widths[column], cell)
		}
		b.WriteString("|\n")
		if i == 0 {
			for _, width := range widths {
				fmt.Fprintf(b, "|%s", strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	b.WriteString("\n")
}
