package readmetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// copyCheckout copies a checkout, without its history and without what was
// built or stored in it.
func copyCheckout(to, from string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.IsDir() && leftOut(relative):
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		default:
			return copyFile(target, name)
		}
	})
}

func leftOut(folder string) bool {
	hidden := folder != "." && strings.HasPrefix(filepath.Base(folder), ".")
	return folder == "bin" || hidden && folder != ".ci"
}

func copyFile(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}
