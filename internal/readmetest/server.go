//go:build unix

package readmetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// interruptPatience bounds how long a server takes to end after Ctrl-C.
const interruptPatience = time.Minute

// server is a command that stays running.
type server struct {
	process *exec.Cmd
	output  string // file
	ended   chan struct{}
}

// startServer starts a command, and waits until it answers with 200 at a URL.
func startServer(ctx context.Context, folder, output string, environment []string, command, url string) (*server, error) {
	file, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	s := &server{
		process: group(folder, environment, "bash", "-c", "exec env "+command),
		output:  output,
		ended:   make(chan struct{}),
	}
	s.process.Stdout, s.process.Stderr = file, file
	if err := errors.Join(s.process.Start(), file.Close()); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		_ = s.process.Wait()
	}()
	if err := s.ready(ctx, url); err != nil {
		printed, _ := os.ReadFile(output)
		return nil, errors.Join(fmt.Errorf("%w; the server printed:\n%s", err, printed), s.stop())
	}
	return s, nil
}

func (s *server) ready(ctx context.Context, url string) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !answers(ctx, url) {
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended before it answered at %s", url)
		case <-ctx.Done():
			return fmt.Errorf("no answer at %s: %w", url, context.Cause(ctx))
		case <-again.C:
		}
	}
	return nil
}

// prober asks whether a server is there, whatever its certificate says.
var prober = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := prober.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

// stop is Ctrl-C: it reaches the whole group.
func (s *server) stop() error {
	signalGroup(s.process, syscall.SIGINT)
	select {
	case <-s.ended:
		return nil
	case <-time.After(interruptPatience):
		signalGroup(s.process, syscall.SIGKILL)
		<-s.ended
		return fmt.Errorf("the server did not end within %s of Ctrl-C", interruptPatience)
	}
}
