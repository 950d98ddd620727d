package readmetest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// block is a fenced block of a Markdown document.
type block struct {
	line     int // of its opening fence
	indent   string
	language string
	marker   marker
	text     string // whole lines
}

// marker is the comment above a block, <!-- verb: argument -->. Most blocks
// have none.
type marker struct{ verb, argument string }

// The verbs of markers.
const (
	verbServer       = "server"
	verbSecondServer = "second server"
	verbThirdServer  = "third server"
	verbNeeds        = "needs"
	verbSnippet      = "snippet"
	verbNotRun       = "not run"
)

var (
	fence   = regexp.MustCompile("^([ \t]*)(```+|~~~+)[ \t]*([^ \t`\n]*)")
	comment = regexp.MustCompile(`^\s*<!--\s*([^:]*?)\s*(?::\s*(.*?)\s*)?-->\s*$`)
)

// parse returns the fenced blocks of a document, and everything that is wrong
// with them.
func parse(document string) ([]block, error) {
	if !utf8.ValidString(document) {
		return nil, errors.New("the document is not UTF-8")
	}
	var (
		blocks []block
		faults []error
		above  marker
		end    string // of the open block; empty outside
	)
	number := 0
	for line := range strings.Lines(document) {
		number++
		opening := fence.FindStringSubmatch(line)
		switch last := len(blocks) - 1; {
		case end != "" && strings.TrimSpace(line) == end:
			end = ""
			if err := blocks[last].check(); err != nil {
				faults = append(faults, fmt.Errorf("line %d: %w", blocks[last].line, err))
			}
		case end != "":
			blocks[last].text += strings.TrimPrefix(line, blocks[last].indent)
		case opening != nil:
			blocks = append(blocks, block{line: number, indent: opening[1], language: opening[3], marker: above})
			end, above = opening[2], marker{}
		case strings.TrimSpace(line) != "":
			above = marker{}
			if found := comment.FindStringSubmatch(line); found != nil {
				above = marker{verb: found[1], argument: found[2]}
			}
		}
	}
	if end != "" {
		faults = append(faults, fmt.Errorf("line %d: the block has no end", blocks[len(blocks)-1].line))
	}
	return blocks, errors.Join(faults...)
}

// check says why a block can be neither run, compared nor excused.
func (b block) check() error {
	switch b.marker.verb {
	case verbSnippet, verbNotRun:
		if b.marker.argument == "" {
			return fmt.Errorf("the marker lacks something: <!-- %s: … -->", b.marker.verb)
		}
		return nil
	case verbServer, verbSecondServer, verbThirdServer:
		if b.language != "sh" || strings.Count(strings.ReplaceAll(b.text, "\\\n", ""), "\n") != 1 {
			return errors.New("a server is one command in a block of sh")
		}
		return nil
	case verbNeeds, "":
		if b.language != "sh" && b.language != "console" {
			return fmt.Errorf("a block of %q cannot be run: put <!-- snippet: file#region --> or <!-- not run: reason --> above it", b.language)
		}
		if len(b.commands()) == 0 {
			return errors.New(`no line of the block begins with "$ "`)
		}
		return nil
	default:
		return fmt.Errorf("unknown marker %q: expected server, second server, third server, needs, snippet or not run", b.marker.verb)
	}
}

// command is what bash gets at once, and the output that the README shows.
type command struct{ text, output string }

// commands splits a block: one of sh is a single command, one of console has a
// command for each prompt.
func (b block) commands() []command {
	if b.language == "sh" {
		return []command{{text: b.text}}
	}
	var all []command
	for line := range strings.Lines(b.text) {
		typed, prompt := strings.CutPrefix(line, "$ ")
		rest, continued := strings.CutPrefix(line, "> ")
		switch last := len(all) - 1; {
		case prompt:
			all = append(all, command{text: typed})
		case last < 0: // nothing was typed yet
		case continued && all[last].output == "":
			all[last].text += rest
		default:
			all[last].output += line
		}
	}
	return all
}

// shows reports whether the README shows an output as it is.
func (c command) shows(output string) bool {
	if c.output == "" {
		return true
	}
	var pattern strings.Builder
	for line := range strings.Lines(c.output) {
		if line = strings.TrimRight(line, " \n"); line == "…" {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + ` *\n`)
	}
	if !strings.HasSuffix(output, "\n") {
		output += "\n"
	}
	return regexp.MustCompile(`\A` + pattern.String() + `\z`).MatchString(output)
}
