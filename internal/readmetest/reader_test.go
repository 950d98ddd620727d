//go:build unix

package readmetest

import (
	"context"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain makes this binary a server, too, for documents to start: "$SERVER"
// serves, and leaves a file named goodbye behind on Ctrl-C.
func TestMain(m *testing.M) {
	if os.Getenv("SERVE") == "" {
		os.Exit(m.Run())
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	go func() { _ = http.ListenAndServe(os.Getenv("SINGULARITY_HTTP"), mux) }()
	<-interrupted.Done()
	_ = os.WriteFile("goodbye", nil, 0o600)
}

// read follows a document in an empty folder, up to the first error.
func read(t *testing.T, document string) (checkout string, err error) {
	t.Helper()
	blocks, err := parse(document)
	if err != nil {
		t.Fatal(err)
	}
	server, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	checkout = t.TempDir()
	r, err := newReader(checkout, t.TempDir(), append(os.Environ(), "SERVER="+server))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err = r.follow(t.Context(), b); err != nil {
			break
		}
	}
	if err := r.leave(); err != nil {
		t.Error(err)
	}
	return checkout, err
}

func TestReaderFollowsADocumentInOneShell(t *testing.T) {
	t.Parallel()
	const document = `
~~~sh
mkdir -p deep
cd deep
export GREETING="hello world"   # for later
~~~

~~~console
$ echo "$GREETING" from ${PWD##*/}
hello world from deep
$ echo one; echo 127.0.0.1:4000 >&2; cat
one
127.0.0.1:4000
$ cat <<END
> some text
> END
some text
~~~
`
	if _, err := read(t, document); err != nil {
		t.Error(err)
	}
}

func TestReaderReportsTheCommandThatFails(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, document, want string }{
		{"failure in the middle", "~~~sh\necho before\nfalse\necho after\n~~~\n", "exit status 1:\necho before\nfalse\necho after\nprinted:\nbefore\nfailed: false"},
		{"failure in a pipe", "~~~sh\nfalse | true\n~~~\n", "exit status 1"},
		{"unknown program", "~~~sh\nno-such-program\n~~~\n", "README.md-1: line 1: no-such-program: command not found"},
		{"syntax", "~~~sh\nif true\n~~~\n", "syntax error"},
		{"end of the shell", "~~~sh\nexit 0\n~~~\n", "the shell ended"},
		{"output", "~~~console\n$ echo yes\nno\n~~~\n", "printed:\nyes\nand the README shows:\nno\n"},
		{"number of no server", "~~~sh\nkill -9 PID\n~~~\n", "PID is the number of the server"},
		{"server that ends", "<!-- server -->\n~~~sh\nbash -c 'echo no port left; exit 1'\n~~~\n", "the server printed:\nno port left"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := read(t, test.document); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestReaderStopsAServerByCtrlC(t *testing.T) {
	t.Parallel()
	checkout, err := read(t, "<!-- server -->\n~~~sh\nSERVE=1 \"$SERVER\"   # says when it has ended\n~~~\n~~~sh\n! ls goodbye\n~~~\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(checkout, "goodbye")); err != nil {
		t.Error(err)
	}
}

func TestReaderStopsAServerBeforeTheNext(t *testing.T) {
	t.Parallel()
	const server = "<!-- server -->\n~~~sh\nSERVE=1 \"$SERVER\"\n~~~\n"
	if _, err := read(t, server+server+"~~~sh\nls goodbye\n~~~\n"); err != nil {
		t.Error(err)
	}
}

func TestReaderRunsServersBesideTheFirst(t *testing.T) {
	t.Parallel()
	const document = `
<!-- server -->
~~~sh
SERVE=1 "$SERVER"
~~~

<!-- second server -->
~~~sh
SERVE=1 SINGULARITY_HTTP=127.0.0.1:4001 "$SERVER"
~~~

<!-- third server -->
~~~sh
SERVE=1 SINGULARITY_HTTP=127.0.0.1:4002 "$SERVER"
~~~

~~~console
$ ls goodbye 2>/dev/null || echo all run, at 127.0.0.1:4000, 127.0.0.1:4001 and 127.0.0.1:4002
all run, at 127.0.0.1:4000, 127.0.0.1:4001 and 127.0.0.1:4002
$ kill -9 PID
~~~

<!-- server -->
~~~sh
SERVE=1 "$SERVER"
~~~

~~~sh
ls goodbye # of the first two, since the third was killed
~~~
`
	if _, err := read(t, document); err != nil {
		t.Error(err)
	}
}

func TestReaderKillsAServerByItsNumber(t *testing.T) {
	t.Parallel()
	const server = "<!-- server -->\n~~~sh\nSERVE=1 \"$SERVER\"\n~~~\n"
	if _, err := read(t, server+"~~~sh\nkill -9 PID\n~~~\n"+server+"~~~sh\n! ls goodbye\n~~~\n"); err != nil {
		t.Error(err)
	}
}

func TestReaderEndsACommandThatHangs(t *testing.T) {
	t.Parallel()
	r, err := newReader(t.TempDir(), t.TempDir(), os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = r.follow(ctx, block{language: "sh", text: "tail -f /dev/null\n"})
	if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("error %v, want the deadline in it", err)
	}
	if err := r.leave(); err != nil {
		t.Error(err)
	}
}

func TestSkipsWhatCannotRunHere(t *testing.T) {
	t.Parallel()
	tests := []struct {
		marker marker
		want   string
	}{
		{marker{}, ""},
		{marker{verb: verbServer}, ""},
		{marker{verbNotRun, "it is late"}, "not run: it is late"},
		{marker{verbNeeds, "bash"}, ""},
		{marker{verbNeeds, "bash no-such-program"}, "no-such-program is not installed"},
	}
	for _, test := range tests {
		if got, skip := skips(block{marker: test.marker}); got != test.want || skip != (test.want != "") {
			t.Errorf("skips %v: %q, want %q", test.marker, got, test.want)
		}
	}
}

func TestPlainEnvironment(t *testing.T) {
	t.Parallel()
	got := plain([]string{
		"HOME=/home/me", "SINGULARITY_TOKEN=x", "OPENAI_API_KEY=x", "DATABASE_URL=x", "INSTANCE_ID=x",
		"MAKELEVEL=1", "MAKEFLAGS=w", "GOFLAGS=-buildvcs=false", "GOPROXY=off",
	})
	if want := []string{"HOME=/home/me", "GOPROXY=off", "GOFLAGS=-trimpath -buildvcs=false"}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestCopyCheckoutLeavesOutWhatIsNotSource(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	for _, name := range []string{
		"main.go", ".gitignore", "cmd/bin/main.go", ".ci/run",
		".git/config", "bin/tool", ".singularity/store.db", "cmd/.singularity/store.db",
	} {
		file := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyCheckout(to, from); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(to, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		relative, _ := filepath.Rel(to, name)
		got = append(got, relative)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{".ci/run", ".gitignore", "cmd/bin/main.go", "main.go"}; !slices.Equal(got, want) {
		t.Errorf("copied %q, want %q", got, want)
	}
}
