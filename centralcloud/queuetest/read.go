package queuetest

import (
	"slices"
	"sync"
	"time"
)

var readStories = []story{
	{"read/takes the first messages that are visible", readFirst},
	{"read/comes again when the lease has ended, before what is later", readAgain},
	{"read/for no time leases nothing", readZero},
	{"read/leases are in whole seconds", readWholeSeconds},
	{"read/a lease can be extended and ended", readSetVT},
	{"read/many readers share the messages", readShared},
}

func readFirst(f *fixture) {
	f.sent(5)
	f.want("none", f.read(jobs, 0))
	f.want("less than none", f.read(jobs, -1))
	f.want("first", f.read(jobs, 2), 1, 2)
	f.want("then", f.read(jobs, 10), 3, 4, 5)
	f.want("at last", f.read(jobs, 10))
}

func readAgain(f *fixture) {
	f.sent(3)
	f.want("first", f.read(jobs, 1), 1)
	f.elapse(jobs)
	messages := f.messages(jobs, 10)
	f.want("again", idsOf(messages), 1, 2, 3)
	for i, reads := range []int{2, 1, 1} {
		if messages[i].Reads != reads {
			f.Errorf("message %d was read %d times, want %d", messages[i].ID, messages[i].Reads, reads)
		}
	}
}

func readZero(f *fixture) {
	f.sent(1)
	for reads := 1; reads <= 3; reads++ {
		messages, err := f.Read(f.Context(), jobs, 0, 1)
		f.must(err)
		if len(messages) != 1 || messages[0].Reads != reads {
			f.Fatalf("%+v, want the message, read %d times", messages, reads)
		}
	}
}

func readWholeSeconds(f *fixture) {
	f.sent(1)
	before := time.Now()
	messages, err := f.Read(f.Context(), jobs, 59*time.Minute+time.Millisecond, 1)
	f.must(err)
	ends := messages[0].VisibleAt.Sub(before)
	if whole := 59*time.Minute + time.Second; ends < whole-time.Millisecond || ends > whole+time.Minute {
		f.Errorf("the lease ends after %s, want %s", ends, whole)
	}
}

func readSetVT(f *fixture) {
	f.sent(2)
	f.read(jobs, 1)
	set := func(id int64, after time.Duration, want bool) {
		f.Helper()
		if found, err := f.SetVT(f.Context(), jobs, id, after); err != nil || found != want {
			f.Errorf("message %d: %t, %v; want %t", id, found, err, want)
		}
	}
	set(1, 5*lease, true)
	set(2, lease, true)
	set(3, lease, false)
	f.elapse(jobs)
	f.want("after two hours", f.read(jobs, 10), 2)
	set(1, 0, true)
	set(2, -lease, true)
	messages := f.messages(jobs, 10)
	f.want("at once", idsOf(messages), 1, 2)
	if messages[0].Reads != 2 {
		f.Errorf("read %d times, want 2: setting a lease is no reading", messages[0].Reads)
	}
}

func readShared(f *fixture) {
	const messages = 40
	f.sent(messages)
	var lock sync.Mutex
	var all []int64
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				read, err := f.Read(f.Context(), jobs, lease, 3)
				if err != nil {
					f.Error(err)
				}
				if len(read) == 0 {
					return
				}
				lock.Lock()
				all = append(all, idsOf(read)...)
				lock.Unlock()
			}
		})
	}
	readers.Wait()
	// A reader passes by what another has locked and may find nothing for a
	// moment, so some may be left to be read.
	all = append(all, f.read(jobs, messages)...)
	slices.Sort(all)
	if len(all) != messages || len(slices.Compact(all)) != messages {
		f.Errorf("read %v, want each of %d messages once", all, messages)
	}
}
