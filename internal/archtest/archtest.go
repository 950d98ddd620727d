// Package archtest holds the code to its plan: the arrows in ARCHITECTURE.md
// say which package may import which, and a few rules say what packages may
// import or do besides.
//
// It parses the source itself. A go list subprocess would see the same, but
// the go tool would not see what the subprocess reads, and would show an old
// pass from its cache.
package archtest

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// House is the source of one module, without its tests, which may import
// anything.
type House struct {
	packages []*Package
}

// Package is one folder of Go files.
type Package struct {
	// Name is the folder, seen from the module's root. The root itself goes by
	// the last element of the module's path.
	Name  string
	files []sourceFile
}

type sourceFile struct {
	syntax  *ast.File
	imports []imported
	at      func(token.Pos) token.Position
}

// imported is one import, with a package of the house under its [Package.Name].
type imported struct {
	path string
	ours bool
	name string // in this file
	pos  token.Pos
}

// Rule looks for what is wrong with a package.
type Rule func(*Package) []Finding

// Finding is one breach of a rule.
type Finding struct {
	Where token.Position
	What  string
}

func (f Finding) String() string { return f.Where.String() + ": " + f.What }

// Load parses the module at the root of a tree. Modules nested in it are
// houses of their own and left out.
func Load(tree fs.FS) (*House, error) {
	module, err := modulePath(tree)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	packages := map[string]*Package{}
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return skip(tree, name)
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parse(tree, fset, name, module)
		if err != nil {
			return err
		}
		folder := nameOf(module, path.Join(module, path.Dir(name)))
		if packages[folder] == nil {
			packages[folder] = &Package{Name: folder}
		}
		packages[folder].files = append(packages[folder].files, file)
		return nil
	})
	if err != nil {
		return nil, err
	}
	house := &House{}
	for _, p := range packages {
		house.packages = append(house.packages, p)
	}
	slices.SortFunc(house.packages, func(a, b *Package) int { return cmp.Compare(a.Name, b.Name) })
	return house, nil
}

// Check returns every breach of the rules.
func (h *House) Check(rules ...Rule) []Finding {
	var findings []Finding
	for _, p := range h.packages {
		for _, rule := range rules {
			findings = append(findings, rule(p)...)
		}
	}
	return findings
}

func modulePath(tree fs.FS) (string, error) {
	gomod, err := fs.ReadFile(tree, "go.mod")
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for line := range strings.Lines(string(gomod)) {
		if name, found := strings.CutPrefix(line, "module "); found {
			return strings.TrimSpace(name), nil
		}
	}
	return "", errors.New("go.mod names no module")
}

// skip leaves out what the go command does: hidden folders, test data, and
// modules of their own.
func skip(tree fs.FS, folder string) error {
	base := path.Base(folder)
	if folder == "." {
		return nil
	}
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, path.Join(folder, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func parse(tree fs.FS, fset *token.FileSet, name, module string) (sourceFile, error) {
	source, err := fs.ReadFile(tree, name)
	if err != nil {
		return sourceFile{}, err
	}
	syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return sourceFile{}, err
	}
	file := sourceFile{syntax: syntax, at: fset.Position}
	for _, spec := range syntax.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return sourceFile{}, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		i := imported{path: target, name: path.Base(target), pos: spec.Pos()}
		if spec.Name != nil {
			i.name = spec.Name.Name
		}
		if within(module, target) {
			i.ours, i.path = true, nameOf(module, target)
		}
		file.imports = append(file.imports, i)
	}
	return file, nil
}

func within(module, importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func nameOf(module, importPath string) string {
	if importPath == module {
		return path.Base(module)
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// pattern names packages as the go command does: "a" is a alone, "a/..." is a
// and all below it, "..." is all there are.
type pattern string

func (p pattern) matches(name string) bool {
	if p == "..." {
		return true
	}
	folder, all := strings.CutSuffix(string(p), "/...")
	return name == folder || all && strings.HasPrefix(name, folder+"/")
}

func anyMatches(patterns []pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(name) })
}

// eachImport calls found with every import of the package.
func (p *Package) eachImport(found func(sourceFile, imported)) {
	for _, file := range p.files {
		for _, i := range file.imports {
			found(file, i)
		}
	}
}
