package persistence

import (
	"time"

	"singularity/workflow"
)

// Keys are the keys of a queue of which runs wait, as a limited claim finds
// them.
type Keys interface {
	// First is the first of all keys, in the order of their bytes.
	First() (key string, found bool, err error)
	// After is the first one after another.
	After(key string) (next string, found bool, err error)
	// Running counts the runs with a key that run.
	Running(key string) (int, error)
	// Bucket is that of a key, nil before anything was taken from it.
	Bucket(key string) (*Bucket, error)
	// Keep stores what is left in the bucket of a key.
	Keep(key string, bucket Bucket) error
	// Take takes the next due run with a key. When the claim knows none of them,
	// left says that there are some.
	Take(key string) (taken, left bool, err error)
}

// MaxKeysWalked bounds the keys that one claim looks at.
const MaxKeysWalked = 1000

// WalkAgain is how soon a claim is repeated that did not get to look at all
// keys.
const WalkAgain = 10 * time.Millisecond

// Dealt is how far a claim came with the keys of a queue.
type Dealt struct {
	Turn string        // the key that had its turn last
	Room int           // that is left
	Wait time.Duration // until it is worth another claim though no run ends or comes; zero for never
	Left bool          // runs could begin that the claim does not know
}

// Deal gives the room in a queue to its keys by turns, one run a turn, from the
// key after the given one on, and round and round until there is no room or
// no run that may begin.
func Deal(s workflow.QueueSettings, now time.Time, turn string, room int, keys Keys) (Dealt, error) {
	d := dealer{settings: s, now: now, keys: keys, Dealt: Dealt{Turn: turn, Room: room}}
	for d.Room > 0 {
		before := d.Room
		if err := d.round(); err != nil || d.Room == before || d.walked >= MaxKeysWalked {
			return d.Dealt, err
		}
	}
	return d.Dealt, nil
}

type dealer struct {
	Dealt
	settings workflow.QueueSettings
	now      time.Time
	keys     Keys
	walked   int
}

// round gives each key its turn, as long as there is room.
func (d *dealer) round() error {
	last := d.Turn
	d.Wait, d.Left = 0, false
	key, wrapped := last, false
	for d.Room > 0 {
		next, found, err := d.keys.After(key)
		if err == nil && !found && !wrapped {
			wrapped = true
			next, found, err = d.keys.First()
		}
		if err != nil || !found || wrapped && next > last {
			return err
		}
		key = next
		if err := d.serve(key); err != nil {
			return err
		}
		if d.walked++; d.walked >= MaxKeysWalked {
			d.Turn, d.Wait = key, sooner(d.Wait, WalkAgain)
			return nil
		}
		if wrapped && key == last {
			return nil
		}
	}
	return nil
}

// serve gives a key its turn, if its limits let it have one.
func (d *dealer) serve(key string) error {
	if d.settings.KeyLimit > 0 {
		if running, err := d.keys.Running(key); err != nil || running >= d.settings.KeyLimit {
			return err
		}
	}
	rate := KeyRate(d.settings)
	var bucket Bucket
	if rate.Limits() {
		stored, err := d.keys.Bucket(key)
		if err != nil {
			return err
		}
		bucket = rate.Refill(stored, d.now)
		if wait := rate.Wait(bucket); wait > 0 {
			d.Wait = sooner(d.Wait, wait)
			return nil
		}
	}
	taken, left, err := d.keys.Take(key)
	d.Left = d.Left || left
	if err != nil || !taken {
		return err
	}
	d.Turn = key
	d.Room--
	if rate.Limits() {
		bucket.Tokens--
		return d.keys.Keep(key, bucket)
	}
	return nil
}
