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
	"singularity/workflows"
)

// registerAgents brings up the example agents, and the workflow by which they
// are sent messages.
func registerAgents(ctx context.Context, engine *singularity.Engine, dataDir string, log *slog.Logger) error {
	agents := map[string]func(context.Context, workflow.Message) error{
		"echo":   echo(log),
		"scribe": scribe(filepath.Join(dataDir, "scribe.jsonl")),
	}
	if dataDir == "" {
		agents["scribe"] = echo(log) // there is no place to write to
	}
	for name, handle := range agents {
		if err := engine.RegisterAgent(ctx, name, handle); err != nil {
			return fmt.Errorf("register agent %s: %w", name, err)
		}
	}
	return engine.Register(workflows.AgentCoordination(engine))
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
