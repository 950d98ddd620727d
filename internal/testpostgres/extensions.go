//go:build unix

package testpostgres

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// install makes an installation of Postgres in the directory, which has further
// extensions beside those of the installation that some programs belong to, and
// returns the folder of its programs. These find their files by where they are
// themselves, so a copy of them, with links to all else, is enough.
func (s *scratch) install(programs string, extensions map[string]string) (string, error) {
	root := s.path("install")
	share, err := configured(programs, "--sharedir")
	if err != nil {
		return "", err
	}
	libraries, err := configured(programs, "--pkglibdir")
	if err != nil {
		return "", err
	}
	own := filepath.Join(share, "extension")
	for _, step := range []func() error{
		func() error { return linkAll(share, root+share, "extension") },
		func() error { return linkAll(own, root+own) },
		func() error { return linkAll(libraries, root+libraries) },
		func() error { return linkAll(programs, root+programs, "postgres", "initdb") },
		func() error { return copyProgram(programs, root+programs, "postgres") },
		func() error { return copyProgram(programs, root+programs, "initdb") },
	} {
		if err := step(); err != nil {
			return "", err
		}
	}
	for name, content := range extensions {
		if err := os.WriteFile(filepath.Join(root+own, name), []byte(content), 0o644); err != nil { //nolint:gosec // for the server's account
			return "", err
		}
	}
	return root + programs, s.give(root)
}

// give makes a tree the server's account's, which removes it in the end.
func (s *scratch) give(root string) error {
	if s.account == nil {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(s.account.Uid), int(s.account.Gid))
	})
}

// configured asks an installation where its files are.
func configured(programs, what string) (string, error) {
	output, err := exec.Command(filepath.Join(programs, "pg_config"), what).Output() //nolint:gosec // one of the programs that tests run
	if err != nil {
		return "", fmt.Errorf("pg_config %s: %w: run make setup", what, err)
	}
	return strings.TrimSpace(string(output)), nil
}

// linkAll makes a folder with links to all that is in another one, but for some.
func linkAll(from, to string, except ...string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // for the server's account
		return err
	}
	for _, entry := range entries {
		if slices.Contains(except, entry.Name()) {
			continue
		}
		if err := os.Symlink(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyProgram(from, to, name string) error {
	program, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, name), program, 0o755) //nolint:gosec // for the server's account
}
