package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/pgmq"
	"singularity/centralcloud/sqlite"
	"singularity/migrations"
)

// lookAtHub looks at the hub of a node, in whichever database it is. A node that was
// not told of one need not have one.
func lookAtHub(ctx context.Context, flags sharedFlags, dataDir string, living []livingNode) []finding {
	url, flag := flags.hub.url, "--centralcloud-database-url"
	if url == "" {
		url, flag = flags.database.direct(), "--database-url"
	}
	if url == "" {
		return lookAtHubFolder(ctx, dataDir)
	}
	store, err := pgmq.Connect(ctx, pgmq.Config{URL: url})
	if err != nil {
		return []finding{{"hub", false, fmt.Sprintf("%s: %v", flag, err)}}
	}
	defer func() { _ = store.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 2*connectPatience)
	defer cancel()
	needed := flags.hub.url != "" || flags.hub.here
	condition, err := store.Inspect(ctx)
	_, unreached := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case unreached && flags.hub.url == "": // as the findings of the nodes' database say
		return nil
	case err != nil:
		return []finding{{"hub", false, fmt.Sprintf("%s: %v", flag, err)}}
	case condition.Migration == 0 && !needed:
		return []finding{{"hub", true, "none in the nodes' database; nodes take part as soon as there is one"}}
	}
	found := look("hub", func() (string, error) { return checkHubSchema(condition, flags.hub.here && flags.migrate) })
	if condition.Migration < condition.Newest {
		return []finding{found}
	}
	return append([]finding{found}, lookIntoHub(ctx, store, living, !flags.hub.here)...)
}

func checkHubSchema(c pgmq.Condition, migrate bool) (string, error) {
	switch {
	case c.Migration < c.Newest && migrate:
		return fmt.Sprintf("at migration %d; --migrate brings it to %d", c.Migration, c.Newest), nil
	case c.Migration == 0:
		return "", errors.New("there is none in that database; start one with `singularity centralcloud --migrate`")
	case c.Migration < c.Newest:
		return "", fmt.Errorf("it is at migration %d of %d; start it with --migrate", c.Migration, c.Newest)
	default:
		return fmt.Sprintf("at migration %d, the newest; pgmq: %s", c.Migration, c.Pgmq), nil
	}
}

// lookAtHubFolder looks at the hub of dev, if there ever was one.
func lookAtHubFolder(ctx context.Context, dir string) []finding {
	file := filepath.Join(dir, sqlite.File)
	if _, err := os.Stat(file); err != nil {
		return nil
	}
	known := migrations.Newest(migrations.CentralCloudSQLite())
	applied, err := appliedMigration(ctx, file)
	switch {
	case err != nil:
		return []finding{{"hub", false, fmt.Sprintf("%s cannot be read: %v", file, err)}}
	case applied > known:
		return []finding{{"hub", false, fmt.Sprintf("its schema is at migration %d, this program knows %d; use the newer program", applied, known)}}
	case applied < known:
		return []finding{{"hub", true, fmt.Sprintf("at migration %d; the next start brings it to %d", applied, known)}}
	}
	store, err := sqlite.Open(ctx, dir)
	if err != nil {
		return []finding{{"hub", false, err.Error()}}
	}
	defer func() { _ = store.Close() }()
	return append([]finding{{"hub", true, fmt.Sprintf("at migration %d, the newest", applied)}}, lookIntoHub(ctx, store, nil, false)...)
}

// lookIntoHub looks at what is in a hub's database. With led set, a hub is to lead
// there already, and not only once the node starts that is looked at.
func lookIntoHub(ctx context.Context, store hub.Store, living []livingNode, led bool) []finding {
	return []finding{
		look("hub leader", func() (string, error) { return checkLeader(ctx, store, led) }),
		look("hub instances", func() (string, error) { return checkInstances(ctx, store, living) }),
		look("dead letters", func() (string, error) { return checkLetters(ctx, store) }),
	}
}

// checkLeader looks whether a hub learns.
func checkLeader(ctx context.Context, store hub.Reader, led bool) (string, error) {
	leader, err := store.Leader(ctx)
	switch {
	case err != nil:
		return "", err
	case !leader.Leads() && led:
		return "", fmt.Errorf("none leads, last tick %s; nodes go on by what they learned: start one with `singularity centralcloud`, or a node with --centralcloud",
			ago(leader.Now, leader.ProlongedAt))
	case !leader.Leads():
		return "none leads, last tick " + ago(leader.Now, leader.ProlongedAt), nil
	}
	state := fmt.Sprintf("lead %d, last tick %s", leader.Epoch, ago(leader.Now, leader.ProlongedAt))
	policy, err := store.Policy(ctx, 0)
	switch {
	case errors.Is(err, hub.ErrNoPolicy):
		return state + ", no policy yet", nil
	case err != nil:
		return "", err
	default:
		return fmt.Sprintf("%s, policy %d made %s", state, policy.Version, ago(leader.Now, policy.MadeAt)), nil
	}
}

// unreadFor is how long a lesson may lie before it is said that nobody reads it, as
// hubs have it.
const unreadFor = 2 * time.Minute

// checkInstances looks who reports, and who reads what it is taught. Who does not is
// at fault if it lives in the nodes' database; others may have been taken away.
func checkInstances(ctx context.Context, store hub.Store, living []livingNode) (string, error) {
	leader, err := store.Leader(ctx)
	if err != nil {
		return "", err
	}
	instances, err := store.Instances(ctx)
	if err != nil {
		return "", err
	}
	var states []string
	faulty := false
	for _, instance := range instances {
		unread, err := store.QueueMetrics(ctx, instance.Queue)
		if err != nil && !errors.Is(err, centralcloud.ErrNoQueue) {
			return "", err
		}
		state := fmt.Sprintf("%s: results %s, taught %s", instance.ID, ago(leader.Now, instance.HeardAt), ago(leader.Now, instance.TaughtAt))
		if unread.Oldest > unreadFor {
			state += fmt.Sprintf(", %d lessons unread, the oldest for %s", unread.Length, unread.Oldest)
			faulty = faulty || slices.ContainsFunc(living, func(n livingNode) bool { return n.instance == instance.ID })
		}
		states = append(states, state)
	}
	summary := cmp.Or(strings.Join(states, "; "), "none has reported yet")
	if faulty {
		return "", fmt.Errorf("%s; a node that lives does not read what it is taught: its log says why it does not reach the hub's queues", summary)
	}
	return summary, nil
}

// checkLetters looks for messages that nobody could make sense of.
func checkLetters(ctx context.Context, store centralcloud.Queue) (string, error) {
	var lying []string
	for _, queue := range []string{centralcloud.DeadUp, centralcloud.DeadDown} {
		metrics, err := store.QueueMetrics(ctx, queue)
		if err != nil && !errors.Is(err, centralcloud.ErrNoQueue) { // nothing was ever dead
			return "", err
		}
		if metrics.Length > 0 {
			lying = append(lying, fmt.Sprintf("%d in %s, the last one %s ago", metrics.Length, queue, metrics.Newest))
		}
	}
	if len(lying) == 0 {
		return "none", nil
	}
	return "", fmt.Errorf("%s; `singularity centralcloud dead-letters` says why, and sends them again or deletes them", strings.Join(lying, "; "))
}

// ago is for how long something has been over, for people.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	return max(now.Sub(then), 0).Round(time.Second).String() + " ago"
}
