package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"singularity"
	"singularity/workflow"
)

// agents take messages, by their names.
type agents map[string]func(context.Context, workflow.Message) error

func (a agents) register(ctx context.Context, engine *singularity.Engine) error {
	for name, take := range a {
		if err := engine.RegisterAgent(ctx, name, take); err != nil {
			return fmt.Errorf("register agent %s: %w", name, err)
		}
	}
	return nil
}

// exampleAgents are those of dev.
func exampleAgents(dataDir string, log *slog.Logger) agents {
	if dataDir == "" {
		return agents{"echo": echo(log), "scribe": echo(log)} // there is no place to write to
	}
	return agents{"echo": echo(log), "scribe": scribe(filepath.Join(dataDir, "scribe.jsonl"))}
}

// echo writes each message to the log.
func echo(log *slog.Logger) func(context.Context, workflow.Message) error {
	return func(ctx context.Context, message workflow.Message) error {
		log.InfoContext(ctx, "message to an agent", "agent", message.Agent, "source", message.Source,
			"message_id", message.ID, "type", message.Type, "payload", string(message.Payload))
		return nil
	}
}

// scribe appends each message to a file, as a line of JSON. A crash between
// the line and its acknowledgement leaves the line twice.
func scribe(path string) func(context.Context, workflow.Message) error {
	return func(_ context.Context, message workflow.Message) (err error) {
		line, err := json.Marshal(message)
		if err != nil {
			return err
		}
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if _, err := file.Write(append(line, '\n')); err != nil {
			_ = file.Close()
			return err
		}
		return file.Close()
	}
}
