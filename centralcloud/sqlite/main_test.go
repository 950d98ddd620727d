package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"singularity/centralcloud"
	"singularity/centralcloud/sqlite"
)

// The test binary is its own child process: with a directory in its
// environment it sends to a queue there until it is killed.
const dirVariable = "CENTRALCLOUD_SQLITE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		sendForEver(dir)
	}
	os.Exit(m.Run())
}

// sendForEver prints the id of each message once it is sent.
func sendForEver(dir string) {
	store, err := sqlite.Open(context.Background(), dir)
	for err == nil {
		var id int64
		id, err = store.Send(context.Background(), "jobs", centralcloud.Draft{Body: []byte(`1`)})
		fmt.Println(id)
	}
	fmt.Println(err)
	os.Exit(1)
}

func TestSentMessagesSurviveKill9(t *testing.T) {
	t.Parallel()
	store := open(t, t.TempDir())
	if err := store.CreateQueue(t.Context(), "jobs"); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), dirVariable+"="+store.dir)
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged int64
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
			t.Fatalf("the child process said %q", lines.Text())
		}
		if acknowledged == 30 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed, and may have sent many more before it was heard of
	messages, err := store.Read(t.Context(), "jobs", 0, int(acknowledged)+1)
	if err != nil || int64(len(messages)) < acknowledged || acknowledged < 30 {
		t.Errorf("%d messages, %v; want the %d that were acknowledged", len(messages), err, acknowledged)
	}
	for i, message := range messages {
		if message.ID != int64(i+1) {
			t.Fatalf("message %d has id %d", i+1, message.ID)
		}
	}
}
