package archtest

import (
	"fmt"
	"go/ast"
	"slices"
)

// StoredTimes are the names of the fields that hold a time in the structs of some
// packages.
func (h *House) StoredTimes(packages ...string) map[string]bool {
	names := map[string]bool{}
	for _, p := range h.packages {
		if !slices.Contains(packages, p.Name) {
			continue
		}
		for _, file := range p.files {
			ast.Inspect(file.syntax, func(node ast.Node) bool {
				if structure, ok := node.(*ast.StructType); ok {
					addTimes(names, structure)
				}
				return true
			})
		}
	}
	return names
}

func addTimes(names map[string]bool, structure *ast.StructType) {
	for _, field := range structure.Fields.List {
		kind := field.Type
		if pointer, ok := kind.(*ast.StarExpr); ok {
			kind = pointer.X
		}
		if !isSelector(kind, "time", "Time") {
			continue
		}
		for _, name := range field.Names {
			names[name.Name] = true
		}
	}
}

// OneClock keeps the process's clock from being compared with times that were
// stored, which are by the clock of the store: the two may be hours apart. Stored
// are the fields of the given names; it follows them, and the clock, through the
// variables of a function.
func OneClock(stored map[string]bool, stores ...string) Rule {
	return func(p *Package) []Finding {
		if slices.ContainsFunc(stores, func(store string) bool { return pattern(store).matches(p.Name) }) {
			return nil
		}
		var findings []Finding
		for _, file := range p.files {
			for _, declaration := range file.syntax.Decls {
				f := &clocks{stored: stored, variables: map[string]origin{}}
				ast.Inspect(declaration, f.assign)
				ast.Inspect(declaration, f.compare)
				for _, at := range f.found {
					findings = append(findings, Finding{file.at(at.Pos()), fmt.Sprintf(
						"%s compares its own clock with a stored time; let the store say how long it is", p.Name)})
				}
			}
		}
		return findings
	}
}

// origin is whose clock a time is by.
type origin int

const (
	unknown origin = iota
	ofProcess
	ofStore
)

// clocks knows of the variables of a declaration whose clock they are by.
type clocks struct {
	stored    map[string]bool
	variables map[string]origin
	found     []ast.Node
}

// assign learns from assignments.
func (c *clocks) assign(node ast.Node) bool {
	if assignment, ok := node.(*ast.AssignStmt); ok && len(assignment.Lhs) == len(assignment.Rhs) {
		for i, left := range assignment.Lhs {
			if name, ok := left.(*ast.Ident); ok {
				if from := c.of(assignment.Rhs[i]); from != unknown {
					c.variables[name.Name] = from
				}
			}
		}
	}
	return true
}

// compare notes comparisons of one clock with the other.
func (c *clocks) compare(node ast.Node) bool {
	call, ok := node.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return true
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return true
	}
	other := c.of(call.Args[0])
	switch method.Sel.Name {
	case "Since", "Until":
		if isSelector(method, "time", method.Sel.Name) && other == ofStore {
			c.found = append(c.found, call)
		}
	case "After", "Before", "Compare", "Equal", "Sub":
		if one := c.of(method.X); one != unknown && other != unknown && one != other {
			c.found = append(c.found, call)
		}
	}
	return true
}

// of says whose clock an expression is by.
func (c *clocks) of(expression ast.Expr) origin {
	switch e := expression.(type) {
	case *ast.ParenExpr:
		return c.of(e.X)
	case *ast.StarExpr:
		return c.of(e.X)
	case *ast.UnaryExpr:
		return c.of(e.X)
	case *ast.Ident:
		return c.variables[e.Name]
	case *ast.SelectorExpr:
		if c.stored[e.Sel.Name] {
			return ofStore
		}
	case *ast.CallExpr:
		method, ok := e.Fun.(*ast.SelectorExpr)
		switch {
		case !ok:
		case isSelector(method, "time", "Now"):
			return ofProcess
		case slices.Contains([]string{"Add", "AddDate", "In", "Local", "Round", "Truncate", "UTC"}, method.Sel.Name):
			return c.of(method.X)
		}
	}
	return unknown
}

// isSelector reports whether an expression is a name of a package.
func isSelector(expression ast.Expr, packageName, name string) bool {
	selector, ok := expression.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	left, ok := selector.X.(*ast.Ident)
	return ok && left.Name == packageName
}
