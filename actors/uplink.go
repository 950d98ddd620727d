package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
	"singularity/persistence"
)

// messagesAtOnce is how many messages are sent by one call.
const messagesAtOnce = 8

// uplink sends results to the hub. It counts anew what the store has of the last
// epochs, so that whatever became of an earlier try, the numbers are right. One
// goroutine at a time uses it.
type uplink struct {
	node  *Node
	queue centralcloud.Queue
	sent  centralcloud.Revisions // of epochs that may still change
	seal  centralcloud.Seal      // once it was read
}

// sentResults is what was sent.
type sentResults struct {
	Messages int `json:"messages"`
	Counters int `json:"counters"` // rows of them
	Samples  int `json:"samples"`
	Boots    int `json:"boots"` // whose records were read
}

// send sends what the node has noted. With last set the boot will record no more.
func (u *uplink) send(ctx context.Context, last bool) (sum sentResults, err error) {
	taken := u.node.results.take()
	defer func() {
		if err != nil {
			u.node.results.giveBack(taken)
		}
	}()
	own := u.node.standing.boot()
	switch {
	case taken.recorded || last:
		err = u.count(ctx, persistence.UncountedBoot{Boot: own.ID, Instance: own.Instance}, last, &taken, &sum)
	case taken.some:
		err = u.post(ctx, own.ID, own.Instance, &taken, nil, nil, nil, &sum)
	}
	if err == nil && taken.orphaned {
		err = u.countEnded(ctx, &taken, &sum)
	}
	// Who took a score and has not counted it may be dead.
	if err == nil && (taken.rescored || taken.orphaned) {
		err = u.recount(ctx, &taken, &sum)
	}
	return sum, err
}

// countEnded sends the counters of boots that have ended.
func (u *uplink) countEnded(ctx context.Context, taken *takenResults, sum *sentResults) error {
	ended, err := u.node.store.Uncounted(ctx)
	for _, boot := range ended {
		if err == nil {
			err = u.count(ctx, boot, true, taken, sum)
		}
	}
	return err
}

// recount sends the counters of all epochs that got scores, whoever's they are.
func (u *uplink) recount(ctx context.Context, taken *takenResults, sum *sentResults) error {
	epochs, err := u.node.store.Rescored(ctx)
	for _, epoch := range epochs {
		if err == nil {
			err = u.recountEpoch(ctx, epoch, taken, sum)
		}
	}
	return err
}

// recountEpoch sends those rows of an epoch that have scores. What else is in it,
// its boot sends, or who counts that.
func (u *uplink) recountEpoch(ctx context.Context, epoch persistence.RescoredEpoch, taken *takenResults, sum *sentResults) error {
	sum.Boots++
	tally := centralcloud.NewTally(epoch.Instance, string(epoch.Boot))
	var rescored []persistence.Record
	err := u.node.store.ReadEpoch(ctx, epoch.Boot, epoch.Epoch, func(record persistence.Record) error {
		if record.Rescored > 0 {
			rescored = append(rescored, record)
		}
		tally.Add(counted(record))
		return nil
	})
	if err == nil {
		own := u.node.standing.boot() // the other one, if it lives, reports for itself
		err = u.post(ctx, own.ID, own.Instance, taken, tally.Rescored(), nil, nil, sum)
	}
	if err != nil {
		return err
	}
	return u.node.store.NoteRescored(ctx, rescored)
}

// counted is a record as a tally takes it.
func counted(record persistence.Record) centralcloud.Record {
	return centralcloud.Record{
		ID: fmt.Sprintf("%s/%d/%d", record.Run, record.Seq, record.Number), At: record.StoredAt, Doc: record.Doc,
		Scores: record.Scores, Rescored: record.Rescored,
	}
}

// count sends the counters of a boot, stretch by stretch.
func (u *uplink) count(ctx context.Context, boot persistence.UncountedBoot, last bool, taken *takenResults, sum *sentResults) error {
	store := u.node.store
	sum.Boots++
	if err := u.readSeal(ctx); err != nil {
		return err
	}
	for from := (time.Time{}); ; {
		tally, read := centralcloud.NewTally(boot.Instance, string(boot.Boot)), false
		tally.Seal(u.seal)
		stretch, err := store.ReadRecords(ctx, boot.Boot, from, func(record persistence.Record) error {
			read = true
			tally.Add(counted(record))
			return nil
		})
		if err != nil {
			return err
		}
		if n, cause := tally.Unreadable(); n > 0 {
			u.node.log.Warn("records are not counted for the hub, since they are no model calls", "records", n, "boot", boot.Boot, "first", cause)
		}
		rows, samples := tally.Changed(u.sent)
		if err := u.post(ctx, boot.Boot, boot.Instance, taken, rows, samples, tally.Repeats(rows), sum); err != nil {
			return err
		}
		u.sent.Sent(rows)
		u.sent.Forget(stretch.Settled)
		if final := last && !stretch.More; final || read {
			if err := store.NoteCounted(ctx, boot.Boot, stretch.Settled, final); err != nil {
				return err
			}
		}
		if !stretch.More {
			return nil
		}
		from = stretch.Until
	}
}

// readSeal reads what the nodes seal with, once.
func (u *uplink) readSeal(ctx context.Context) (err error) {
	if u.seal == nil {
		u.seal, err = u.node.store.Secret(ctx, centralcloud.SealSecret)
	}
	return err
}

// post sends rows, samples and repeats, and the jobs that were taken and not sent yet.
func (u *uplink) post(ctx context.Context, boot persistence.BootID, instance string, taken *takenResults,
	rows []centralcloud.Row, samples []centralcloud.Sample, repeats []centralcloud.Repeats, sum *sentResults,
) error {
	from := u.node.introduction(boot, instance)
	drafts, err := centralcloud.EncodeUpdates(from, taken.jobs.Summary(taken.period), rows, samples, repeats)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(drafts, messagesAtOnce) {
		if err := sendUp(ctx, u.queue, some...); err != nil {
			return fmt.Errorf("send results: %w", err)
		}
		sum.Messages += len(some)
		taken.jobs, taken.some = centralcloud.Jobs{}, false
	}
	sum.Counters += len(rows)
	sum.Samples += len(samples)
	return nil
}

// sendUp sends messages to the hub. It makes the queue if the hub never did.
func sendUp(ctx context.Context, queue centralcloud.Queue, drafts ...centralcloud.Draft) error {
	_, err := queue.SendBatch(ctx, centralcloud.UpQueue, drafts)
	if !errors.Is(err, centralcloud.ErrNoQueue) {
		return err
	}
	if err := queue.CreateQueue(ctx, centralcloud.UpQueue); err != nil {
		return err
	}
	_, err = queue.SendBatch(ctx, centralcloud.UpQueue, drafts)
	return err
}

// introduction says of whom a message is.
func (n *Node) introduction(boot persistence.BootID, instance string) centralcloud.Instance {
	return centralcloud.Instance{ID: instance, Boot: string(boot), Version: n.cfg.Version, Timestamp: time.Now().UTC()}
}
