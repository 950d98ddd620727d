package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// outputFormat is the value of --output.
type outputFormat string

const (
	formatTable outputFormat = "table"
	formatJSON  outputFormat = "json"
)

// String implements [pflag.Value].
func (f *outputFormat) String() string { return string(*f) }

// Type implements [pflag.Value].
func (f *outputFormat) Type() string { return "table|json" }

// Set implements [pflag.Value].
func (f *outputFormat) Set(value string) error {
	switch format := outputFormat(value); format {
	case formatTable, formatJSON:
		*f = format
		return nil
	default:
		return fmt.Errorf("%q is not an output format; expected table or json", value)
	}
}

// print writes a result: document as JSON, or what table writes.
func (c *cli) print(document any, table func(*table)) error {
	if c.output == formatJSON {
		// One line, and no escapes that the document did not have: the documents
		// of users inside it stay byte for byte what they are.
		encoder := json.NewEncoder(c.stdout)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(document)
	}
	t := newTable(c.stdout)
	table(t)
	return t.flush()
}

// printRaw writes a document of the user, byte for byte.
func (c *cli) printRaw(document []byte) error {
	_, err := fmt.Fprintf(c.stdout, "%s\n", document)
	return err
}

// table aligns columns. Cells are hostile text: users and models wrote them.
type table struct {
	out     io.Writer
	aligned bytes.Buffer
	tabs    *tabwriter.Writer
	columns int // of the first row
}

func newTable(out io.Writer) *table {
	t := &table{out: out}
	t.tabs = tabwriter.NewWriter(&t.aligned, 0, 0, 2, ' ', 0)
	return t
}

// row adds a line. It may have fewer cells than the first one.
func (t *table) row(cells ...any) {
	t.columns = max(t.columns, len(cells))
	line := make([]string, t.columns)
	for i, value := range cells {
		line[i] = cell(value)
	}
	fmt.Fprintln(t.tabs, strings.Join(line, "\t")) // into memory: cannot fail
}

// optional is a row that is left out when its value is empty.
func (t *table) optional(name, value string) {
	if value != "" {
		t.row(name, value)
	}
}

// flush writes the rows, without the spaces that align nothing.
func (t *table) flush() error {
	if err := t.tabs.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(t.aligned.String()) {
		if _, err := fmt.Fprintln(t.out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

func cell(value any) string {
	switch value := value.(type) {
	case time.Time:
		if value.IsZero() {
			return ""
		}
		return value.UTC().Format(time.RFC3339)
	case *time.Time:
		if value == nil {
			return ""
		}
		return cell(*value)
	case []byte:
		return cell(string(value))
	default:
		return strings.NewReplacer("\n", " ", "\t", " ").Replace(printable(fmt.Sprint(value)))
	}
}

// excerpt shortens a text to what fits a column: its first line, cut.
func excerpt(text string) string {
	const most = 60
	text, _, _ = strings.Cut(text, "\n")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// printable replaces what could steer a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
