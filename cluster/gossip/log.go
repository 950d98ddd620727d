package gossip

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// newLogger returns a logger for memberlist that writes to log. Its lines begin
// with their level.
func newLogger(out *slog.Logger) *log.Logger { return log.New(&lines{out}, "", 0) }

// lines is written one line at a time.
type lines struct{ log *slog.Logger }

// levels are the words of memberlist.
var levels = []struct {
	word  string
	level slog.Level
}{
	{"[DEBUG] ", slog.LevelDebug},
	{"[INFO] ", slog.LevelInfo},
	{"[WARN] ", slog.LevelWarn},
	{"[ERR] ", slog.LevelError},
	{"[ERROR] ", slog.LevelError},
}

// Write implements [io.Writer].
func (l *lines) Write(line []byte) (int, error) {
	text, level := bytes.TrimSpace(line), slog.LevelInfo
	for _, known := range levels {
		if rest, found := bytes.CutPrefix(text, []byte(known.word)); found {
			text, level = rest, known.level
			break
		}
	}
	l.log.Log(context.Background(), level, string(bytes.TrimPrefix(text, []byte("memberlist: "))))
	return len(line), nil
}
