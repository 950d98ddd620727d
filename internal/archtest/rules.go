package archtest

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"slices"
	"strings"
)

// Documented wants one package comment, which begins as godoc expects. Code
// that is all generated may go without.
func Documented(p *Package) []Finding {
	if !slices.ContainsFunc(p.files, func(file sourceFile) bool { return !ast.IsGenerated(file.syntax) }) {
		return nil
	}
	var commented []sourceFile
	for _, file := range p.files {
		if file.syntax.Doc != nil {
			commented = append(commented, file)
		}
	}
	if len(commented) == 0 {
		file := p.files[0]
		return []Finding{{file.at(file.syntax.Package), p.Name + " has no package comment"}}
	}
	var findings []Finding
	for _, file := range commented[1:] {
		findings = append(findings, Finding{file.at(file.syntax.Package), p.Name + " has a second package comment"})
	}
	file := commented[0]
	opening := "Package " + file.syntax.Name.Name + " "
	if file.syntax.Name.Name != "main" && !strings.HasPrefix(file.syntax.Doc.Text(), opening) {
		findings = append(findings, Finding{file.at(file.syntax.Package), fmt.Sprintf("the package comment does not begin with %q", opening)})
	}
	return findings
}

// OnlyStandardLibrary keeps packages free of imports from elsewhere.
func OnlyStandardLibrary(packages string) Rule {
	return forbid(packages, func(i imported) bool {
		first, _, _ := strings.Cut(i.path, "/")
		return i.ours || strings.Contains(first, ".")
	})
}

// Never keeps imports from outside the module out of packages. All of them are
// patterns like a/...
func Never(packages string, imports ...string) Rule {
	return forbid(packages, func(i imported) bool {
		return !i.ours && slices.ContainsFunc(imports, func(p string) bool { return pattern(p).matches(i.path) })
	})
}

func forbid(packages string, bad func(imported) bool) Rule {
	return func(p *Package) []Finding {
		if !pattern(packages).matches(p.Name) {
			return nil
		}
		var findings []Finding
		p.eachImport(func(file sourceFile, i imported) {
			if bad(i) {
				findings = append(findings, Finding{file.at(i.pos), fmt.Sprintf("%s must not import %s", p.Name, i.path)})
			}
		})
		return findings
	}
}

// process is what a process has one of, by import path: its exit, its
// arguments and its environment. An empty list is the whole package.
var process = map[string][]string{
	"os":                         {"Args", "Clearenv", "Environ", "Exit", "ExpandEnv", "Getenv", "LookupEnv", "Setenv", "Unsetenv"},
	"syscall":                    {"Clearenv", "Environ", "Exit", "Getenv", "Setenv", "Unsetenv"},
	"log":                        {"Fatal", "Fatalf", "Fatalln"},
	"github.com/sirupsen/logrus": {"Exit", "Fatal", "Fatalf", "Fatalln"},
	"flag":                       {},
	"github.com/spf13/cobra":     {},
	"github.com/spf13/pflag":     {},
}

// OnlyPrograms keeps the exit, the flags and the environment of the process to
// the packages that are programs: others take what they need as arguments and
// return errors.
func OnlyPrograms(programs ...string) Rule {
	return func(p *Package) []Finding {
		if slices.ContainsFunc(programs, func(program string) bool { return pattern(program).matches(p.Name) }) {
			return nil
		}
		var findings []Finding
		for _, file := range p.files {
			findings = append(findings, usesOfProcess(p, file)...)
		}
		return findings
	}
}

// Without applies a rule to what is built when no build tag of that name is
// given.
func Without(tag string, rule Rule) Rule {
	return func(p *Package) []Finding {
		built := &Package{Name: p.Name}
		for _, file := range p.files {
			if !file.needs(tag) {
				built.files = append(built.files, file)
			}
		}
		return rule(built)
	}
}

// needs reports whether a file is built with a tag alone, whatever else is given.
func (f sourceFile) needs(tag string) bool {
	for _, group := range f.syntax.Comments {
		for _, comment := range group.List {
			if expression, err := constraint.Parse(comment.Text); err == nil && comment.Pos() < f.syntax.Package {
				return !expression.Eval(func(given string) bool { return given != tag })
			}
		}
	}
	return false
}

func usesOfProcess(p *Package, file sourceFile) []Finding {
	var findings []Finding
	names := map[string][]string{} // what not to use, by the name of its package in this file
	for _, i := range file.imports {
		forbidden, found := process[i.path]
		if found && len(forbidden) == 0 {
			findings = append(findings, Finding{file.at(i.pos), fmt.Sprintf("%s is no program, so it must not use %s", p.Name, i.path)})
		}
		names[i.name] = forbidden
	}
	ast.Inspect(file.syntax, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if name, ok := selector.X.(*ast.Ident); ok && slices.Contains(names[name.Name], selector.Sel.Name) {
			findings = append(findings, Finding{file.at(selector.Pos()), fmt.Sprintf("%s is no program, so it must not use %s.%s", p.Name, name.Name, selector.Sel.Name)})
		}
		return true
	})
	return findings
}
