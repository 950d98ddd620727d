// Package logging sets up logrus, and lets libraries that log to log/slog
// write to it.
package logging

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/term"
)

// New returns a logger that writes lines to out: text on a terminal, JSON
// otherwise.
func New(out io.Writer, level logrus.Level) *logrus.Logger {
	logger := logrus.New()
	logger.SetOutput(out)
	logger.SetLevel(level)
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		logger.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "15:04:05.000"})
	} else {
		logger.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	}
	return logger
}

// Handler returns a slog.Handler whose records become entries of logger.
// Attributes of a group have its name before theirs: "group.key".
func Handler(logger *logrus.Logger) slog.Handler {
	return &handler{logger: logger, fields: logrus.Fields{}}
}

type handler struct {
	logger *logrus.Logger
	fields logrus.Fields // shared by handlers, never changed
	prefix string        // of the open groups
}

// Enabled implements [slog.Handler].
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return h.logger.IsLevelEnabled(levelOf(level))
}

// Handle implements [slog.Handler]. A record without a time gets the present
// one, as every entry of logrus does.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	fields := maps.Clone(h.fields)
	record.Attrs(func(attr slog.Attr) bool {
		add(fields, h.prefix, attr)
		return true
	})
	h.logger.WithContext(ctx).WithFields(fields).WithTime(record.Time).Log(levelOf(record.Level), record.Message)
	return nil
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	changed := *h
	changed.fields = maps.Clone(h.fields)
	for _, attr := range attrs {
		add(changed.fields, h.prefix, attr)
	}
	return &changed
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	changed := *h
	if name != "" {
		changed.prefix += name + "."
	}
	return &changed
}

func add(fields logrus.Fields, prefix string, attr slog.Attr) {
	value := attr.Value.Resolve()
	switch {
	case attr.Equal(slog.Attr{}):
	case value.Kind() == slog.KindGroup:
		if attr.Key != "" { // a group without a name belongs to the one around it
			prefix += attr.Key + "."
		}
		for _, inner := range value.Group() {
			add(fields, prefix, inner)
		}
	default:
		fields[prefix+attr.Key] = plain(value)
	}
}

// plain returns what both formatters can write: a value that JSON refuses
// would cost the whole line.
func plain(value slog.Value) any {
	switch known := value.Any().(type) {
	case time.Duration:
		return known.String()
	case nil, string, bool, int64, uint64, float64, time.Time, json.Marshaler, encoding.TextMarshaler:
		return known
	default: // errors and Stringers too
		return fmt.Sprintf("%+v", known)
	}
}

func levelOf(level slog.Level) logrus.Level {
	switch {
	case level >= slog.LevelError:
		return logrus.ErrorLevel
	case level >= slog.LevelWarn:
		return logrus.WarnLevel
	case level >= slog.LevelInfo:
		return logrus.InfoLevel
	case level >= slog.LevelDebug:
		return logrus.DebugLevel
	default:
		return logrus.TraceLevel
	}
}
