package certs

import (
	"os"
	"path/filepath"
	"time"
)

// stamp tells whether the files of a node have changed.
type stamp [3]fileStamp

type fileStamp struct {
	size     int64
	modified time.Time
}

func stampOf(dir string) stamp {
	var s stamp
	for i, name := range []string{AuthorityCert, NodeCert, NodeKey} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			s[i] = fileStamp{info.Size(), info.ModTime()}
		}
	}
	return s
}
