package readmetest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// snippet returns what a block is a copy of.
func (b block) snippet(tree fs.FS) (string, error) {
	file, region, _ := strings.Cut(b.marker.argument, "#")
	source, err := fs.ReadFile(tree, file)
	if err != nil {
		return "", fmt.Errorf("snippet: %w", err)
	}
	tests, err := fs.Glob(tree, path.Join(path.Dir(file), "*_test.go"))
	if err != nil || len(tests) == 0 {
		return "", fmt.Errorf("snippet: no test stands beside %s", file)
	}
	lines, found := cutRegion(string(source), region)
	if !found {
		return "", fmt.Errorf("snippet: %s has no region %s", file, region)
	}
	return strings.Trim(dedent(lines), "\n") + "\n", nil
}

// compareSnippet checks that a block is the copy that it says it is.
func compareSnippet(tree fs.FS, b block) error {
	want, err := b.snippet(tree)
	if err != nil {
		return err
	}
	if b.text != want {
		return fmt.Errorf("the block is not what stands in %s; go test ./internal/readmetest -update copies it:\n%s", b.marker.argument, want)
	}
	return nil
}

// updateSnippets returns a document with its snippets copied anew.
func updateSnippets(tree fs.FS, document string) (string, error) {
	blocks, err := parse(document)
	if err != nil {
		return "", err
	}
	lines := strings.SplitAfter(document, "\n")
	for _, b := range slices.Backward(blocks) {
		if b.marker.verb != verbSnippet {
			continue
		}
		text, err := b.snippet(tree)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", b.line, err)
		}
		var copied []string
		for line := range strings.Lines(text) {
			if !isBlank(line) {
				line = b.indent + line
			}
			copied = append(copied, line)
		}
		lines = slices.Replace(lines, b.line, b.line+strings.Count(b.text, "\n"), copied...)
	}
	return strings.Join(lines, ""), nil
}

// cutRegion returns the lines between the two comments of a region, or all
// lines when the region has no name, without the comments of regions.
func cutRegion(source, region string) (lines []string, found bool) {
	inside := region == ""
	for line := range strings.Lines(source) {
		before, name, comment := strings.Cut(strings.TrimSpace(line), "region ")
		switch {
		case comment && strings.HasSuffix(before, "#"):
			inside = inside || name == region
		case comment && strings.HasSuffix(before, "#end"):
			found = found || inside && name == region
			inside = inside && name != region
		case isBlank(line) && len(lines) > 0 && isBlank(lines[len(lines)-1]):
			// A comment stood between two blank lines.
		case inside:
			lines = append(lines, line)
		}
	}
	return lines, found || region == ""
}

// dedent takes away the indent that all lines share.
func dedent(lines []string) string {
	shared := -1
	for _, line := range lines {
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		if !isBlank(line) && (shared < 0 || indent < shared) {
			shared = indent
		}
	}
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line[min(max(shared, 0), len(line)-1):])
	}
	return text.String()
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }
