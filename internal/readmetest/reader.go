//go:build unix

package readmetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"singularity/internal/testport"
)

// patience bounds each command and the start of each server. The slowest one
// builds everything from an empty cache.
const patience = 8 * time.Minute

// usualAddresses are where the README's servers are. Its clients look at the
// first.
var usualAddresses = [...]string{"127.0.0.1:4000", "127.0.0.1:4001", "127.0.0.1:4002"}

// everyAddress has the first of them among others.
const everyAddress = "0.0.0.0:4000"

// reader follows a README, block by block.
type reader struct {
	checkout    string // a copy
	scratch     string
	addresses   [len(usualAddresses)]string // in place of the usual ones
	environment []string
	bash        *bash
	servers     []*server // those of the last server block and beside it, running or not
	count       int       // of the commands so far
}

// newReader prepares a reader in two empty folders; environment is what to
// start from, without what is strange, and settings are added to it. The reader
// has to leave.
func newReader(checkout, scratch string, environment []string, settings ...string) (*reader, error) {
	r := &reader{checkout: checkout, scratch: scratch}
	var err error
	for i := range r.addresses {
		if r.addresses[i], err = testport.Free(context.Background(), "127.0.0.1"); err != nil {
			return nil, err
		}
	}
	r.environment = append(append(plain(environment), settings...),
		"SINGULARITY_HTTP="+r.addresses[0],
		"SINGULARITY_ADDRESS=http://"+r.addresses[0],
		"SINGULARITY_CLUSTER=readme-"+strconv.Itoa(os.Getpid()), // no other on this machine
	)
	r.bash, err = startBash(checkout, scratch, r.environment)
	return r, err
}

// strange are the variables that change what the README's commands do.
var strange = regexp.MustCompile(`^(SINGULARITY_|OPENAI_|ANTHROPIC_|GEMINI_|GOOGLE_|PG[A-Z]+=|DATABASE_URL=|INSTANCE_ID=|BASH_ENV=|MAKE|MFLAGS=|GOFLAGS=)`)

// plain returns an environment without what is strange. Builds have their
// paths trimmed, or nothing in the build cache would serve a copy of the
// checkout.
func plain(environment []string) []string {
	var kept []string
	goflags := []string{"-trimpath"}
	for _, variable := range environment {
		if flags, found := strings.CutPrefix(variable, "GOFLAGS="); found {
			goflags = append(goflags, flags)
		}
		if !strange.MatchString(variable) {
			kept = append(kept, variable)
		}
	}
	return append(kept, "GOFLAGS="+strings.Join(goflags, " "))
}

// skips says why a block is not followed here, if it is not.
func skips(b block) (reason string, skip bool) {
	switch b.marker.verb {
	case verbNotRun:
		return "not run: " + b.marker.argument, true
	case verbNeeds:
		for program := range strings.FieldsSeq(b.marker.argument) {
			if _, err := exec.LookPath(program); err != nil {
				return program + " is not installed", true
			}
		}
	}
	return "", false
}

// follow does what a block says.
func (r *reader) follow(ctx context.Context, b block) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it took more than %s", patience))
	defer cancel()
	switch b.marker.verb {
	case verbSnippet:
		return compareSnippet(os.DirFS(r.checkout), b)
	case verbServer:
		if err := r.stopServers(); err != nil {
			return err
		}
		return r.serve(ctx, b, r.addresses[0])
	case verbSecondServer:
		return r.serve(ctx, b, r.addresses[1])
	case verbThirdServer:
		return r.serve(ctx, b, r.addresses[2])
	}
	for _, c := range b.commands() {
		if err := r.run(ctx, b, c); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) serve(ctx context.Context, b block, address string) error {
	output := filepath.Join(r.scratch, r.scriptName(b)+".output")
	scheme := "http"
	if strings.Contains(b.text, "--tls-dir") {
		scheme = "https"
	}
	started, err := startServer(ctx, r.checkout, output, r.environment, r.atFree(b.text), scheme+"://"+address+"/readyz")
	if err == nil {
		r.servers = append(r.servers, started)
	}
	return err
}

// atFree puts the free addresses in place of those of the README.
func (r *reader) atFree(text string) string {
	_, port, _ := strings.Cut(r.addresses[0], ":")
	replaced := []string{everyAddress, "0.0.0.0:" + port}
	for i, usual := range usualAddresses {
		replaced = append(replaced, usual, r.addresses[i])
	}
	return strings.NewReplacer(replaced...).Replace(text)
}

// atUsual does the opposite.
func (r *reader) atUsual(text string) string {
	var replaced []string
	for i, usual := range usualAddresses {
		replaced = append(replaced, r.addresses[i], usual)
	}
	return strings.NewReplacer(replaced...).Replace(text)
}

// looks are commands that change nothing. A reader takes a while to type one, and
// sees what has come about by then; here it is typed again.
var looks = regexp.MustCompile(`^bin/singularity (cluster (members|takeovers)|(run|queue|schedule) list|run (get|steps)) ?`)

// typingTime is how long that goes on.
const typingTime = time.Minute

func (r *reader) run(ctx context.Context, b block, c command) error {
	script, err := r.withPID(r.atFree(c.text))
	if err != nil {
		return err
	}
	typed := time.Now()
	output, err := r.bash.run(ctx, r.scriptName(b), script)
	output = r.atUsual(output)
	for looks.MatchString(c.text) && err == nil && !c.shows(output) && time.Since(typed) < typingTime {
		output, err = r.bash.run(ctx, r.scriptName(b), script)
		output = r.atUsual(output)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w:\n%sprinted:\n%s", err, c.text, output)
	case !c.shows(output):
		return fmt.Errorf("the output is another:\n%sprinted:\n%sand the README shows:\n%s", c.text, output, c.output)
	default:
		return nil
	}
}

var killPID = regexp.MustCompile(`\b(kill (?:-\w+ )?)PID\b`)

// withPID puts the last server's number where a reader would.
func (r *reader) withPID(script string) (string, error) {
	if !killPID.MatchString(script) {
		return script, nil
	}
	if len(r.servers) == 0 {
		return "", errors.New("PID is the number of the server in a block above, and there is none")
	}
	last := r.servers[len(r.servers)-1]
	return killPID.ReplaceAllString(script, "${1}"+strconv.Itoa(last.process.Process.Pid)), nil
}

// scriptName is new for each command; bash puts it in front of what it has to
// say about one.
func (r *reader) scriptName(b block) string {
	r.count++
	return fmt.Sprintf("%d-README.md-%d", r.count, b.line)
}

// stopServers stops what runs, the latest first.
func (r *reader) stopServers() error {
	var problems []error
	for _, stopping := range slices.Backward(r.servers) {
		problems = append(problems, stopping.stop())
	}
	r.servers = nil
	return errors.Join(problems...)
}

// leave ends everything that the reader started.
func (r *reader) leave() error {
	r.bash.close()
	return r.stopServers()
}
