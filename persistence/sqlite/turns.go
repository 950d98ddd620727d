package sqlite

import "singularity/persistence"

// keysOf are the waiting runs of a queue as a limited claim sees them.
type keysOf struct {
	*tx
	claim   persistence.Claim
	running map[string]int // nil until it is needed
}

var _ persistence.Keys = (*keysOf)(nil)

const firstKey = `
SELECT limit_key FROM ` + keyedRuns + `
ORDER BY limit_key LIMIT 1`

// First implements [persistence.Keys].
func (k *keysOf) First() (string, bool, error) {
	return k.one(firstKey, nil, k.claim.Queue, k.claim.Solo)
}

const keyAfter = `
SELECT limit_key FROM ` + keyedRuns + ` AND limit_key > ?1
ORDER BY limit_key LIMIT 1`

// After implements [persistence.Keys].
func (k *keysOf) After(key string) (string, bool, error) {
	return k.one(keyAfter, key, k.claim.Queue, k.claim.Solo)
}

func (k *keysOf) one(query string, args ...any) (key string, found bool, err error) {
	err = k.query(func(row scanner) error {
		found = true
		return row.Scan(&key)
	}, query, args...)
	return key, found, err
}

const runningByKey = `
SELECT coalesce(limit_key, ''), count(*)
FROM workflow_runs INDEXED BY workflow_runs_owned
WHERE state = 'running' AND queue = ?
GROUP BY 1`

// Running implements [persistence.Keys]. Those that this claim took have been
// counted since.
func (k *keysOf) Running(key string) (int, error) {
	if k.running == nil {
		k.running = map[string]int{}
		err := k.query(func(row scanner) error {
			var key string
			var running int
			err := row.Scan(&key, &running)
			k.running[key] = running
			return err
		}, runningByKey, k.claim.Queue)
		if err != nil {
			return 0, err
		}
	}
	return k.running[key], nil
}

// Bucket implements [persistence.Keys].
func (k *keysOf) Bucket(key string) (*persistence.Bucket, error) {
	return k.bucket(k.claim.Queue, true, key)
}

// Keep implements [persistence.Keys].
func (k *keysOf) Keep(key string, bucket persistence.Bucket) error {
	return k.keepBucket(k.claim.Queue, true, key, bucket)
}

// Take implements [persistence.Keys].
func (k *keysOf) Take(key string) (taken, left bool, err error) {
	changed, err := k.exec(takeWithKey, k.at, k.claim.Queue, k.claim.Solo, key,
		string(k.claim.Boot), k.claim.ID, definitions(k.claim.Known))
	switch {
	case err != nil:
		return false, false, err
	case changed > 0:
		if k.running != nil {
			k.running[key]++
		}
		return true, false, nil
	}
	err = k.query(func(row scanner) error { return row.Scan(&left) }, anyDueWithKey, k.at, k.claim.Queue, k.claim.Solo, key)
	return false, left, err
}
