package archtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Plan says which packages may import which. What it does not allow is
// forbidden.
type Plan []arrow

// arrow is one line of a plan: what the packages on its left may import.
type arrow struct{ from, to []pattern }

// ParsePlan reads the block of a Markdown document that is fenced as "arrows".
// Each of its lines reads
//
//	name, name -> name, name
//
// where the names are packages or patterns like a/..., and "anything" or
// "nothing" may stand alone on the right.
func ParsePlan(document string) (Plan, error) {
	block, err := arrowsBlock(document)
	if err != nil {
		return nil, err
	}
	var plan Plan
	var faults []error
	for line := range strings.Lines(block) {
		a, err := parseArrow(line)
		faults = append(faults, err)
		plan = append(plan, a)
	}
	return plan, errors.Join(faults...)
}

func arrowsBlock(document string) (string, error) {
	const opening, closing = "\n```arrows\n", "\n```"
	_, rest, opened := strings.Cut(document, opening)
	block, rest, closed := strings.Cut(rest, closing)
	switch {
	case !opened || !closed:
		return "", errors.New("no block is fenced as ```arrows")
	case strings.Contains(rest, opening):
		return "", errors.New("two blocks are fenced as ```arrows; one plan is enough")
	default:
		return block, nil
	}
}

func parseArrow(line string) (arrow, error) {
	left, right, found := strings.Cut(line, "->")
	a := arrow{from: patterns(left), to: patterns(right)}
	if !found || len(a.from) == 0 || len(a.to) == 0 {
		return arrow{}, fmt.Errorf("arrow %q: expected \"name, name -> name, name\"", strings.TrimSpace(line))
	}
	switch strings.TrimSpace(right) {
	case "anything":
		a.to = []pattern{"..."}
	case "nothing":
		a.to = nil
	}
	return a, nil
}

func patterns(list string) []pattern {
	var names []pattern
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, pattern(name))
		}
	}
	return names
}

// Check is the [Rule] that packages keep to the plan.
func (plan Plan) Check(p *Package) []Finding {
	var allowed []pattern
	planned := false
	for _, a := range plan {
		if anyMatches(a.from, p.Name) {
			planned = true
			allowed = append(allowed, a.to...)
		}
	}
	if !planned {
		file := p.files[0]
		return []Finding{{file.at(file.syntax.Package), p.Name + " has no arrow: say in the plan what it may import"}}
	}
	var findings []Finding
	p.eachImport(func(file sourceFile, i imported) {
		if i.ours && !anyMatches(allowed, i.path) {
			findings = append(findings, Finding{file.at(i.pos), fmt.Sprintf("the plan has no arrow %s -> %s", p.Name, i.path)})
		}
	})
	return findings
}

// Missing returns the names in a plan that no package of the house has.
func (h *House) Missing(plan Plan) []string {
	var missing []string
	for _, a := range plan {
		for _, names := range [][]pattern{a.from, a.to} {
			for _, name := range names {
				if !h.has(name) && !slices.Contains(missing, string(name)) {
					missing = append(missing, string(name))
				}
			}
		}
	}
	return missing
}

func (h *House) has(name pattern) bool {
	return slices.ContainsFunc(h.packages, func(p *Package) bool { return name.matches(p.Name) })
}
