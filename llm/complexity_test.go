package llm

import (
	"strings"
	"testing"
)

func TestComplexityRisesWithTaskLengthAndStructure(t *testing.T) {
	t.Parallel()
	say := func(texts ...string) []Message {
		var messages []Message
		for _, text := range texts {
			messages = append(messages, Message{Role: User, Content: text})
		}
		return messages
	}
	long, longer := strings.Repeat("word ", 1_000), strings.Repeat("word ", 6_000)
	turns := strings.Split(strings.Repeat("hello,", 9), ",")[:9]

	for name, test := range map[string]struct {
		task     string
		messages []Message
		want     Bucket
	}{
		"simple task":                         {"classifier", say("hello"), 0},
		"simple task in capitals":             {"Classifier", say("hello"), 0},
		"simple task on a long text":          {"classifier", say(long), 0},
		"simple task on a very long text":     {"classifier", say(longer), 1},
		"simple task on all that is possible": {"classifier", append(say(turns...), say("{}", longer)...), 2},
		"middling task":                       {"coder", say("hello"), 1},
		"middling task with code":             {"coder", say("fix this:\n```go\nx := 1\n```"), 1},
		"middling task on long code":          {"coder", say("fix this", "```"+long), 2},
		"middling task in many turns":         {"chat", say(turns...), 1},
		"complex task":                        {"architect", say("hello"), 2},
		"complex task on a very long text":    {"architect", say(longer), 2},
		"unheard-of task":                     {"haiku", say("hello"), 1},
		"no task":                             {"", say("hello"), 1},
		"empty message":                       {"classifier", say(""), 0},
		"JSON message":                        {"coder", say(` {"a": 1}`), 1},
	} {
		if got := Complexity(test.task, test.messages); got != test.want {
			t.Errorf("%s: bucket %d, expected %d", name, got, test.want)
		}
	}
}
