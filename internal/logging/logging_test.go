package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/sirupsen/logrus"

	"singularity/internal/logging"
)

func TestHandlerConformsToSlog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slogtest.Run(t,
		func(t *testing.T) slog.Handler {
			t.Helper()
			if strings.HasSuffix(t.Name(), "/zero-time") {
				t.Skip("every entry of logrus has a time")
			}
			out.Reset()
			return logging.Handler(logging.New(&out, logrus.InfoLevel))
		},
		func(t *testing.T) map[string]any {
			t.Helper()
			return nest(line(t, out.Bytes()))
		})
}

func line(t *testing.T, output []byte) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(output, &fields); err != nil {
		t.Fatalf("%q is not one line of JSON: %v", output, err)
	}
	return fields
}

// nest makes maps of the dots in keys.
func nest(fields map[string]any) map[string]any {
	nested := map[string]any{}
	for key, value := range fields {
		path := strings.Split(key, ".")
		group := nested
		for _, name := range path[:len(path)-1] {
			if group[name] == nil {
				group[name] = map[string]any{}
			}
			group = group[name].(map[string]any)
		}
		group[path[len(path)-1]] = value
	}
	return nested
}

func TestLevels(t *testing.T) {
	t.Parallel()
	tests := []struct {
		level   slog.Level
		name    string
		written bool
	}{
		{slog.LevelDebug - 1, "trace", false},
		{slog.LevelDebug, "debug", false},
		{slog.LevelInfo, "info", true},
		{slog.LevelWarn, "warning", true},
		{slog.LevelError, "error", true},
		{slog.LevelError + 4, "error", true},
	}
	for _, test := range tests {
		var out bytes.Buffer
		slog.New(logging.Handler(logging.New(&out, logrus.InfoLevel))).Log(t.Context(), test.level, "hello")
		if written := out.Len() > 0; written != test.written {
			t.Errorf("%v: written is %t, want %t", test.level, written, test.written)
		} else if written && line(t, out.Bytes())["level"] != test.name {
			t.Errorf("%v: got %s, want level %s", test.level, &out, test.name)
		}
	}
}

func TestValuesThatJSONRefusesAreWrittenAsText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(logging.Handler(logging.New(&out, logrus.InfoLevel)))
	log.Info("odd",
		"error", errors.New("no ink"),
		"pid", (*stringer)(nil),
		"channel", struct{ C chan int }{},
		"took", 1500*time.Millisecond,
		"count", 3,
		"document", json.RawMessage(`{"n":1}`),
		"nothing", nil,
	)
	got := line(t, out.Bytes())
	want := map[string]any{
		"msg": "odd", "level": "info", "time": got["time"],
		"error": "no ink", "pid": "<nil>", "channel": "{C:<nil>}", "took": "1.5s",
		"count": 3.0, "document": map[string]any{"n": 1.0}, "nothing": nil,
	}
	for key, value := range want {
		if encoded, _ := json.Marshal(got[key]); string(encoded) != mustEncode(t, value) {
			t.Errorf("%s: got %s, want %s", key, encoded, mustEncode(t, value))
		}
	}
}

func mustEncode(t *testing.T, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

type stringer struct{ text string }

func (s *stringer) String() string { return s.text }

func TestRecordKeepsItsTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	moment := time.Date(2026, time.January, 2, 3, 4, 5, 6000, time.UTC)
	record := slog.NewRecord(moment, slog.LevelInfo, "then", 0)
	if err := logging.Handler(logging.New(&out, logrus.InfoLevel)).Handle(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if got := line(t, out.Bytes())["time"]; got != "2026-01-02T03:04:05.000006Z" {
		t.Errorf("got time %v, want the record's", got)
	}
}
