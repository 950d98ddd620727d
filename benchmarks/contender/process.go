package contender

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// Process is a contender that is being measured, seen from outside.
type Process struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *json.Decoder
	log    bytes.Buffer
}

// StartProcess runs a command that does [Serve], and waits until the contender
// is set up. When ctx ends the process is killed.
func StartProcess(ctx context.Context, command string, arguments ...string) (*Process, Description, error) {
	p := &Process{cmd: exec.CommandContext(ctx, command, arguments...)}
	p.cmd.Stderr = &p.log
	var err error
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, Description{}, err
	}
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, Description{}, err
	}
	p.output = json.NewDecoder(output)
	if err := p.cmd.Start(); err != nil {
		return nil, Description{}, err
	}
	var description Description
	if err := p.output.Decode(&description); err != nil {
		if reason := p.Stop(); reason != nil {
			return nil, Description{}, reason
		}
		return nil, Description{}, fmt.Errorf("the contender's process did not say that it is set up: %w", err)
	}
	return p, description, nil
}

// PID is the process's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Measure carries one order out.
func (p *Process) Measure(order Order) (Answer, error) {
	if err := json.NewEncoder(p.input).Encode(order); err != nil {
		return Answer{}, fmt.Errorf("order: %w", err)
	}
	var answer Answer
	if err := p.output.Decode(&answer); err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// Stop lets the contender close and waits for the end of its process. The
// error of one that fails has what it wrote last.
func (p *Process) Stop() error {
	_ = p.input.Close()
	if err := p.cmd.Wait(); err != nil {
		log := p.log.Bytes()
		return fmt.Errorf("the contender's process: %w; it wrote: %s", err, bytes.TrimSpace(log[max(0, len(log)-2000):]))
	}
	return nil
}
