package proof

import (
	"fmt"
	"maps"
	"testing"

	"singularity/centralcloud"
	"singularity/llm"
)

// account sums up calls, as servers and the hub both know them.
type account struct {
	Good, Bad, Refused int64 // answers, answers that are no good, and those turned away in an outage
	In, Out            int64
	Cost               llm.NanoDollars
}

func (a account) calls() int64 { return a.Good + a.Bad + a.Refused }

func (a account) plus(b account) account {
	return account{a.Good + b.Good, a.Bad + b.Bad, a.Refused + b.Refused, a.In + b.In, a.Out + b.Out, a.Cost + b.Cost}
}

func (a account) minus(b account) account {
	return account{a.Good - b.Good, a.Bad - b.Bad, a.Refused - b.Refused, a.In - b.In, a.Out - b.Out, a.Cost - b.Cost}
}

// accounts are by task and arm.
type accounts map[cell]account

// add adds what the answer to one request came to.
func (a accounts) add(at cell, given answer) {
	one := account{In: given.usage.In, Out: given.usage.Out, Cost: costOf(at.arm, given.usage)}
	if given.good {
		one.Good = 1
	} else {
		one.Bad = 1
	}
	a[at] = a[at].plus(one)
}

func (a accounts) refuse(at cell) { a[at] = a[at].plus(account{Refused: 1}) }

// sum adds up those that are wanted.
func (a accounts) sum(wanted func(cell) bool) (sum account) {
	for at, one := range a {
		if wanted(at) {
			sum = sum.plus(one)
		}
	}
	return sum
}

func anything(cell) bool { return true }

func is(only cell) func(cell) bool { return func(at cell) bool { return at == only } }

func by(provider string) func(cell) bool {
	return func(at cell) bool { return at.arm.Provider == provider }
}

// since is what came after an earlier time.
func (a accounts) since(earlier accounts) accounts {
	later := accounts{}
	for at, one := range a {
		if rest := one.minus(earlier[at]); rest.calls() > 0 {
			later[at] = rest
		}
	}
	return later
}

// share is the part of all calls that are wanted.
func (a accounts) share(wanted func(cell) bool) float64 {
	return float64(a.sum(wanted).calls()) / float64(max(1, a.sum(anything).calls()))
}

// at are those of a task.
func (a accounts) at(task string) accounts {
	some := maps.Clone(a)
	maps.DeleteFunc(some, func(at cell, _ account) bool { return at.task != task })
	return some
}

// most is the one with the most calls of those that are wanted.
func (a accounts) most(wanted func(cell) bool) (most cell) {
	for at, one := range a {
		if wanted(at) && one.calls() > a[most].calls() {
			most = at
		}
	}
	return most
}

// counted is what the hub says of rows.
func counted(rows []centralcloud.Row) accounts {
	sums := accounts{}
	for _, row := range rows {
		at := cell{row.TaskType, row.Arm}
		sums[at] = sums[at].plus(account{
			Good: row.Successes, Bad: row.Errors[string(llm.Content)], Refused: row.Errors[string(llm.Overload)],
			In: row.TokensIn, Out: row.TokensOut, Cost: llm.NanoDollars(row.Cost),
		})
	}
	return sums
}

// difference says where two accounts do not agree; empty where they do.
func difference(served, counted accounts) string {
	if maps.Equal(served, counted) {
		return ""
	}
	text := ""
	all := maps.Clone(served)
	maps.Copy(all, counted)
	for at := range all {
		if served[at] != counted[at] {
			text += fmt.Sprintf("\n%s at %s: served %+v, counted %+v", at.arm, at.task, served[at], counted[at])
		}
	}
	return text
}

func TestDifferenceSeesWhatIsLostAndWhatCountsTwice(t *testing.T) {
	t.Parallel()
	at, other := cell{"chat", small}, cell{"math", small}
	served := accounts{at: {Good: 3, Cost: 30}}
	for name, counted := range map[string]accounts{
		"lost": {at: {Good: 2, Cost: 20}}, "all lost": {}, "twice": {at: {Good: 4, Cost: 40}}, "elsewhere": {other: {Good: 3, Cost: 30}},
		"unpaid": {at: {Good: 3}}, "another verdict": {at: {Good: 2, Bad: 1, Cost: 30}}, "invented": {at: {Good: 3, Cost: 30}, other: {Refused: 1}},
	} {
		if difference(served, counted) == "" {
			t.Errorf("%s: no difference", name)
		}
	}
	if found := difference(served, maps.Clone(served)); found != "" {
		t.Errorf("equal accounts differ: %s", found)
	}
}
