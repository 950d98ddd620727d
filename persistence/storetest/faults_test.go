package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// fault is a way in which a store may be wrong, and a story that tells.
type fault struct {
	name  string
	story string
	wrap  func(*memory.Store) persistence.Store
}

var faults = []fault{
	{"the fence ignores the owner", "fence/another boot is refused", unfenced(func(f *faulty, w persistence.Advance) []persistence.Fence {
		var fences []persistence.Fence
		for _, boot := range f.joined {
			fence := w.Fence
			fence.Boot = boot
			fences = append(fences, fence)
		}
		return fences
	})},
	{"the fence ignores the epoch", "fence/another epoch is refused", unfenced(func(_ *faulty, w persistence.Advance) []persistence.Fence {
		var fences []persistence.Fence
		for epoch := range int64(6) {
			fence := w.Fence
			fence.Epoch = epoch
			fences = append(fences, fence)
		}
		return fences
	})},
	{"the fence ignores the sequence", "fence/another sequence is refused", unfenced(func(_ *faulty, w persistence.Advance) []persistence.Fence {
		var fences []persistence.Fence
		for seq := range int64(6) {
			fence := w.Fence
			fence.Seq = seq
			fences = append(fences, fence)
		}
		return fences
	})},
	{"a write that landed is fenced when repeated", "fence/a write that landed lands again without effect", forgetful},
	{"a write that landed is fenced once the run moved on", "fence/a write that landed is recognised after the run moved on", forgetful},
	{"writes are lost", "concurrency/no commit of a run is lost, doubled or out of order", losing},
	{"batches are torn", "batch/a bad write keeps the whole batch from landing", torn},
	{"cancelling ends what has ended", "states/each write does to each state what it must and no more", cancellingAll},
	{"contexts are ignored", "batch/one that was cancelled before leaves nothing", deaf},

	{"two fire a schedule at once", "schedules/many that fire at once fire each slot once", func(store *memory.Store) persistence.Store { return unlocked{store} }},
	{"a slot gets a second run", "schedules/a slot has one run", edited(func(w *persistence.Insert) { w.Slot = w.Slot.Add(time.Duration(w.Run[15]) * time.Second) })},

	{"a claim is given to two", "claim/concurrent claims never share a run", generous},
	{"claims are out of order", "claim/goes by due time plus a minute for each priority, then by id", disorderly},
	{"claims take unknown versions", "claim/leaves unknown workflows and versions", edited(func(w *persistence.Claim) {
		w.Known = append(slices.Clone(w.Known), persistence.Definition{Workflow: flow, Version: 2})
	})},
	{"claims take more than their limit", "claim/takes no more than its limit", edited(func(w *persistence.Claim) { w.Limit++ })},
	{"claims of another queue", "claim/of one queue leaves the others", edited(func(w *persistence.Claim) { w.Queue = "metrics" })},
	{"claims are not recognised by their id", "claim/repeated under its id gives the same runs", edited(func(w *persistence.Claim) {
		w.ID = workflow.NewRunID().String()
	})},
	{"claims take what must run alone", "claim/only a solo claim takes runs that must run alone", edited(func(w *persistence.Claim) { w.Solo = true })},
	{"limits are ignored", "limited/no more run at once than the global limit, whoever has them", unlimited},
	{"limits of keys are ignored", "turns/no more run at once with a key than its limit", unlimited},
	{"keys do not take turns", "turns/keys take turns across claims", unlimited},
	{"rates are ignored", "limited/no more begin than the rate lets", unlimited},
	{"pauses are ignored", "limited/takes nothing while the queue is paused", unlimited},
	{"keys are lost", "turns/keys take turns across claims", edited(func(w *persistence.Insert) { w.LimitKey = new("") })},
	{"pauses are forgotten", "queues/pausing reports whether it changed anything", func(store *memory.Store) persistence.Store { return restless{store} }},
	{"deadlines are lost", "deadlines/a run that waits fails once it is over", edited(func(w *persistence.Insert) { w.Deadline = 0 })},
	{"batches are lost", "batches/one says how it stands", func(store *memory.Store) persistence.Store { return scattered{store} }},
	{"due times are ignored", "claim/leaves runs that are not due, whatever their priority", edited(func(w *persistence.Insert) { w.Due = time.Time{} })},
	{"delays are ignored", "advance/gives a run back until its backoff is over", edited(func(w *persistence.Advance) { w.Delay = 0 })},

	{"keys ignore the input", "key/another input conflicts and names the run", edited(func(w *persistence.Insert) { w.InputHash = [32]byte{} })},
	{"ids ignore the input", "insert/the same id with another input or workflow conflicts", edited(func(w *persistence.Insert) { w.InputHash = [32]byte{} })},
	{"keys are ignored", "key/an unfinished run with the key and input is attached to", edited(func(w *persistence.Insert) { w.Key = "" })},
	{"keys are shared by workflows", "key/belongs to one workflow", edited(func(w *persistence.Insert) { w.Workflow = flow })},

	{"bulk inserts are torn", "bulk/a conflict keeps all from being added and is named", func(store *memory.Store) persistence.Store { return piecemeal{store} }},
	{"bulk inserts come from behind", "bulk/attaches to the runs that have an id or a key", func(store *memory.Store) persistence.Store { return backward{store} }},
	{"scores that come meanwhile are forgotten", "scores/one that comes while it is counted is counted, too", func(store *memory.Store) persistence.Store { return unheeding{store} }},
	{"unique keys are ignored", "unique/an unfinished run with the unique key is attached to", edited(func(w *persistence.Insert) { w.Unique = nil })},
	{"unique runs give way to none", "unique/is free again once the run has ended", uniqueEdited(func(unique *persistence.Unique) { unique.Within = time.Hour })},
	{"the time of unique runs is ignored", "unique/for a time outlasts the completion of the run", uniqueEdited(func(unique *persistence.Unique) { unique.Within = 0 })},
	{"the time of unique runs never ends", "unique/for a time ends on the clock of the store", uniqueEdited(func(unique *persistence.Unique) { unique.Within *= 1_000_000 })},
	{"nobody is rejected", "unique/a start that is to be rejected names the run in the way", uniqueEdited(func(unique *persistence.Unique) { unique.OnConflict = workflow.Attach })},
	{"nobody is replaced", "replace/a run that has not begun makes way and says for which", uniqueEdited(func(unique *persistence.Unique) { unique.OnConflict = workflow.Attach })},
	{"other input attaches", "unique/another input of the same key conflicts", uniqueEdited(func(unique *persistence.Unique) { unique.By = workflow.ByQueue })},

	{"batches end twice", "batches/one that has ended does not end again", func(store *memory.Store) persistence.Store { return repeating{store} }},
	{"batches end early", "batches/one ends when none of its runs goes on", func(store *memory.Store) persistence.Store { return impatient{store} }},

	{"facts are lost", "advance/history keeps facts, times and owners", entryEdited(func(entry *persistence.Entry) { entry.Facts = nil })},
	{"equal facts are one", "advance/history keeps facts, times and owners", entryEdited(func(entry *persistence.Entry) {
		entry.Facts = slices.CompactFunc(slices.Clone(entry.Facts), func(a, b workflow.Fact) bool { return string(a.Doc) == string(b.Doc) })
	})},
	{"states are lost", "claim/goes on from the last checkpoint with its summary", entryEdited(func(entry *persistence.Entry) { entry.State = nil })},
	{"outputs are lost", "advance/completes a run with its output", entryEdited(func(entry *persistence.Entry) { entry.Output = nil })},
	{"summaries are lost", "results/a failed run leaves its summary and error", edited(func(w *persistence.Advance) { w.Summary = nil })},
	{"messages are lost", "inbox/messages arrive with the checkpoint, in order", entryEdited(func(entry *persistence.Entry) { entry.Messages = nil })},
	{"messages are repeated", "inbox/a repeated message is dropped", entryEdited(func(entry *persistence.Entry) {
		entry.Messages = slices.Clone(entry.Messages)
		for i := range entry.Messages {
			entry.Messages[i].ID += workflow.NewRunID().String()
		}
	})},
	{"earlier homes acknowledge", "inbox/an earlier home is fenced", edited(func(w *persistence.Acknowledge) { w.Epoch = 2 })},

	{"boots never die", "membership/runs of a dead boot are released as crashed", func(store *memory.Store) persistence.Store { return undead{store} }},
	{"everything is pruned", "retention/by default nothing new is pruned", func(store *memory.Store) persistence.Store { return wasteful{store} }},
	{"nothing is pruned", "retention/each state has its age", func(store *memory.Store) persistence.Store { return hoarding{store} }},
	{"queues are pruned alike", "retention/each queue may have ages of its own", func(store *memory.Store) persistence.Store { return equating{store} }},
	{"retention calls for retention", "retention/its own runs go with the next, and call for none", func(store *memory.Store) persistence.Store { return insatiable{store} }},
	{"tokens outlive their revocation", "tokens/a revoked one stays, with the time of the first revocation", func(store *memory.Store) persistence.Store { return merciful{store} }},
	{"a full budget is half spent from", "budgets/all are spent from, or none", func(store *memory.Store) persistence.Store { return greedy{store} }},
	{"corrections are lost", "budgets/a correction counts, over the limit too", func(store *memory.Store) persistence.Store { return incorrigible{store} }},
	{"uses of tokens are forgotten", "tokens/the last use is kept", func(store *memory.Store) persistence.Store { return inattentive{store} }},
	{"lists carry documents", "read/runs are listed newest first and without documents", func(store *memory.Store) persistence.Store { return talkative{store} }},
	{"a takeover is not told of", "takeover/a boot that is declared dead leaves a record", func(store *memory.Store) persistence.Store { return discreet{store} }},
	{"a takeover is followed by who claims only", "takeover/the first claim and the first checkpoint are noted", func(store *memory.Store) persistence.Store { return hasty{store} }},
	{"pages repeat their first run", "read/pages join up while runs are added", func(store *memory.Store) persistence.Store { return stuck{store} }},
}

// unlimited is a store whose claims keep to no limits.
var unlimited = edited(func(w *persistence.Claim) { w.Limited = false })

// restless is a store that takes no pauses.
type restless struct{ *memory.Store }

func (restless) PauseQueue(_ context.Context, name string, _ bool) (persistence.QueueSettings, bool, error) {
	return persistence.QueueSettings{Name: name}, false, nil
}

// repeating is a store that always says that a batch has just ended.
type repeating struct{ *memory.Store }

func (r repeating) EndBatch(ctx context.Context, id string, callback persistence.Callback) (bool, error) {
	_, err := r.Store.EndBatch(ctx, id, callback)
	return true, err
}

// impatient is a store that takes every batch for one that can end.
type impatient struct{ *memory.Store }

func (impatient) RipeBatches(_ context.Context, ids []string) ([]string, error) { return ids, nil }

// faulty is a store whose commits go wrong.
type faulty struct {
	persistence.Store
	commit func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error)
	joined []persistence.BootID
}

func (f *faulty) Commit(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	return f.commit(ctx, batch)
}

func (f *faulty) Join(ctx context.Context, boot persistence.Boot) error {
	if f.joined != nil {
		f.joined = append(f.joined, boot.ID)
	}
	return f.Store.Join(ctx, boot)
}

// edited is a store that changes writes of one kind.
func edited[W persistence.Write](edit func(w *W)) func(*memory.Store) persistence.Store {
	return func(store *memory.Store) persistence.Store {
		return &faulty{Store: store, commit: func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
			batch = slices.Clone(batch)
			for i, write := range batch {
				if w, ok := write.(W); ok {
					edit(&w)
					batch[i] = w
				}
			}
			return store.Commit(ctx, batch)
		}}
	}
}

// uniqueEdited is a store that changes what inserts are unique by.
func uniqueEdited(edit func(unique *persistence.Unique)) func(*memory.Store) persistence.Store {
	return edited(func(w *persistence.Insert) {
		if w.Unique != nil {
			unique := *w.Unique
			edit(&unique)
			w.Unique = &unique
		}
	})
}

// entryEdited is a store that changes the entries of advances.
func entryEdited(edit func(entry *persistence.Entry)) func(*memory.Store) persistence.Store {
	return edited(func(w *persistence.Advance) {
		if w.Entry != nil {
			entry := *w.Entry
			edit(&entry)
			w.Entry = &entry
		}
	})
}

// unfenced gives an advance that was refused more tries, with other fences.
func unfenced(fences func(*faulty, persistence.Advance) []persistence.Fence) func(*memory.Store) persistence.Store {
	return func(store *memory.Store) persistence.Store {
		f := &faulty{Store: store, joined: []persistence.BootID{}}
		f.commit = func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
			verdicts, err := store.Commit(ctx, batch)
			for i, verdict := range verdicts {
				w, ok := batch[i].(persistence.Advance)
				if !ok || verdict.Err == nil {
					continue
				}
				for _, w.Fence = range fences(f, w) {
					if again, err := store.Commit(ctx, []persistence.Write{w}); err == nil && again[0].Err == nil {
						verdicts[i] = again[0]
						break
					}
				}
			}
			return verdicts, err
		}
		return f
	}
}

// forgetful refuses a write of an owner the second time.
func forgetful(store *memory.Store) persistence.Store {
	landed := map[persistence.Fence]bool{}
	return &faulty{Store: store, commit: func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
		verdicts, err := store.Commit(ctx, batch)
		for i, verdict := range verdicts {
			if w, ok := batch[i].(persistence.Advance); ok && verdict.Err == nil {
				if landed[w.Fence] {
					verdicts[i].Err = persistence.ErrFenced
				}
				landed[w.Fence] = true
			}
		}
		return verdicts, err
	}}
}

// losing drops one advance in twenty and says that it landed.
func losing(store *memory.Store) persistence.Store {
	var mu sync.Mutex
	count := 0
	return &faulty{Store: store, commit: func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
		if _, ok := batch[0].(persistence.Advance); ok {
			mu.Lock()
			count++
			lose := count%20 == 0
			mu.Unlock()
			if lose {
				return make([]persistence.Verdict, 1), nil
			}
		}
		return store.Commit(ctx, batch)
	}}
}

// torn commits each write of a batch by itself.
func torn(store *memory.Store) persistence.Store {
	return &faulty{Store: store, commit: func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
		var verdicts []persistence.Verdict
		for _, write := range batch {
			verdict, err := store.Commit(ctx, []persistence.Write{write})
			if err != nil {
				return nil, err
			}
			verdicts = append(verdicts, verdict...)
		}
		return verdicts, nil
	}}
}

// cancellingAll retries a run that cannot be cancelled, and then cancels it.
func cancellingAll(store *memory.Store) persistence.Store {
	return &faulty{Store: store, commit: func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
		verdicts, err := store.Commit(ctx, batch)
		for i, verdict := range verdicts {
			if w, ok := batch[i].(persistence.Cancel); ok && errors.Is(verdict.Err, workflow.ErrWrongState) {
				if _, err := store.Commit(ctx, []persistence.Write{persistence.Retry{Run: w.Run}}); err != nil {
					return nil, err
				}
				again, err := store.Commit(ctx, []persistence.Write{w})
				if err != nil {
					return nil, err
				}
				verdicts[i] = again[0]
			}
		}
		return verdicts, err
	}}
}

// deaf commits whatever its context says.
func deaf(store *memory.Store) persistence.Store {
	return &faulty{Store: store, commit: func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
		return store.Commit(context.WithoutCancel(ctx), batch)
	}}
}

// generous gives what one claim took to the next one too.
func generous(store *memory.Store) persistence.Store {
	var mu sync.Mutex
	var last []persistence.Activation
	return &faulty{Store: store, commit: func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
		mu.Lock()
		defer mu.Unlock()
		verdicts, err := store.Commit(ctx, batch)
		if _, ok := batch[0].(persistence.Claim); ok && err == nil {
			taken := verdicts[0].Activations
			verdicts[0].Activations = append(slices.Clone(taken), last...)
			last = taken
		}
		return verdicts, err
	}}
}

// disorderly answers claims from behind.
func disorderly(store *memory.Store) persistence.Store {
	return &faulty{Store: store, commit: func(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
		verdicts, err := store.Commit(ctx, batch)
		for _, verdict := range verdicts {
			slices.Reverse(verdict.Activations)
		}
		return verdicts, err
	}}
}

// piecemeal adds runs one by one.
type piecemeal struct{ *memory.Store }

func (s piecemeal) InsertAll(ctx context.Context, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	list := make([]persistence.Inserted, len(inserts))
	for i, insert := range inserts {
		one, err := s.Store.InsertAll(ctx, []persistence.Insert{insert})
		if refusal, ok := errors.AsType[*workflow.StartError](err); ok {
			refusal.Index = i
		}
		if err != nil {
			return nil, err
		}
		list[i] = one[0]
	}
	return list, nil
}

// backward adds the last run first.
type backward struct{ *memory.Store }

func (s backward) InsertAll(ctx context.Context, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	inserts = slices.Clone(inserts)
	slices.Reverse(inserts)
	list, err := s.Store.InsertAll(ctx, inserts)
	slices.Reverse(list)
	return list, err
}

// undead takes no notice of boots that leave.
type undead struct{ *memory.Store }

func (undead) Leave(context.Context, persistence.BootID) error { return nil }

// wasteful prunes whatever has ended.
type wasteful struct{ *memory.Store }

func (s wasteful) Prune(ctx context.Context, _ persistence.RetentionPolicy, limit int) (persistence.Pruned, error) {
	return s.Store.Prune(ctx, ages(expired, expired), limit)
}

// hoarding never prunes.
type hoarding struct{ *memory.Store }

func (hoarding) Prune(context.Context, persistence.RetentionPolicy, int) (persistence.Pruned, error) {
	return persistence.Pruned{}, nil
}

// equating prunes all queues alike.
type equating struct{ *memory.Store }

func (s equating) Prune(ctx context.Context, policy persistence.RetentionPolicy, limit int) (persistence.Pruned, error) {
	policy.Queues = nil
	return s.Store.Prune(ctx, policy, limit)
}

// insatiable begins anew for what it left itself.
type insatiable struct{ *memory.Store }

func (s insatiable) Expired(ctx context.Context, policy persistence.RetentionPolicy) (persistence.Expiry, error) {
	found, err := s.Store.Expired(ctx, policy)
	found.Rest = found.Rest || found.Past
	return found, err
}

// merciful only says that it revokes.
type merciful struct{ *memory.Store }

func (s merciful) RevokeToken(ctx context.Context, id string) (persistence.Token, error) {
	tokens, err := s.Tokens(ctx)
	for _, token := range tokens {
		if at := time.Now(); token.ID == id {
			token.RevokedAt = &at
			return token, err
		}
	}
	return persistence.Token{}, errors.Join(err, persistence.ErrTokenNotFound)
}

// inattentive takes no notice of uses.
type inattentive struct{ *memory.Store }

func (inattentive) TouchToken(context.Context, string, time.Time) error { return nil }

// greedy spends from the budgets one by one.
type greedy struct{ *memory.Store }

func (s greedy) Spend(ctx context.Context, budgets []persistence.Budget, amount int64) (spent persistence.Spent, err error) {
	for _, budget := range budgets {
		if spent, err = s.Store.Spend(ctx, []persistence.Budget{budget}, amount); err != nil || spent.Full != "" {
			break
		}
	}
	return spent, err
}

// incorrigible takes no notice of corrections.
type incorrigible struct{ *memory.Store }

func (incorrigible) Correct(context.Context, []persistence.Budget, persistence.Spent, int64) error {
	return nil
}

// talkative lists runs with their documents.
type talkative struct{ *memory.Store }

func (s talkative) Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error) {
	page, err := s.Store.Runs(ctx, filter)
	for i := range page.Runs {
		if page.Runs[i], err = s.Run(ctx, page.Runs[i].ID); err != nil {
			return page, err
		}
	}
	return page, err
}

// discreet keeps takeovers to itself.
type discreet struct{ *memory.Store }

func (discreet) Takeovers(context.Context, int) ([]persistence.Takeover, error) { return nil, nil }

// hasty takes a claim for all that there is to know.
type hasty struct{ *memory.Store }

func (h hasty) FollowTakeover(ctx context.Context, boot persistence.BootID) (bool, error) {
	_, err := h.Store.FollowTakeover(ctx, boot)
	list, _ := h.Takeovers(ctx, 1)
	return len(list) > 0 && list[0].ClaimedAt != nil, err
}

// stuck always lists the first page.
type stuck struct{ *memory.Store }

func (s stuck) Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error) {
	filter.Before = workflow.RunID{}
	return s.Store.Runs(ctx, filter)
}

// unlocked is a store where somebody else decides on a schedule, too, and knows
// nothing of the first.
type unlocked struct{ *memory.Store }

func (u unlocked) FireSchedule(ctx context.Context, name string, decide persistence.Decide) (persistence.ScheduleView, bool, error) {
	return u.Store.FireSchedule(ctx, name, func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		decision, err := decide(view)
		other, _ := decide(view)
		for i := range other.Runs {
			other.Runs[i].Slot = other.Runs[i].Slot.Add(time.Microsecond)
		}
		decision.Runs = append(decision.Runs, other.Runs...)
		return decision, err
	})
}

// scattered forgets which runs are a batch's.
type scattered struct{ *memory.Store }

func (s scattered) InsertBatch(ctx context.Context, page persistence.BatchPage, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	if _, err := s.Store.InsertBatch(ctx, page, nil); err != nil {
		return nil, err
	}
	return s.InsertAll(ctx, inserts)
}

// unheeding notes all scores of a record as counted, whichever were read.
type unheeding struct{ *memory.Store }

func (u unheeding) NoteRescored(ctx context.Context, records []persistence.Record) error {
	for i, record := range records {
		newest, err := u.RecordsOf(ctx, record.Run)
		if err != nil {
			return err
		}
		for _, stored := range newest {
			if stored.RecordID == record.RecordID {
				records[i] = stored
			}
		}
	}
	return u.Store.NoteRescored(ctx, records)
}
