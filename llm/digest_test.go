package llm

import "testing"

func TestDigestsTellWhatIsTheSame(t *testing.T) {
	t.Parallel()
	ask := func(texts ...string) (messages []Message) {
		for _, text := range texts {
			messages = append(messages, Message{Role: User, Content: text})
		}
		return messages
	}
	want := digestOfMessages(ask("what is", "six by seven?"))
	if len(want) != 16 {
		t.Errorf("a digest is %q, want 16 digits", want)
	}
	if got := digestOfMessages(ask(" what is\n", "six by seven?")); got != want {
		t.Errorf("space around a text makes another digest, %s instead of %s", got, want)
	}
	for name, other := range map[string][]Message{
		"another text":   ask("what is", "six by eight?"),
		"another seam":   ask("what", "is six by seven?"),
		"another case":   ask("What is", "six by seven?"),
		"another role":   {{Role: System, Content: "what is"}, {Role: User, Content: "six by seven?"}},
		"fewer messages": ask("what is"),
	} {
		if digestOfMessages(other) == want {
			t.Errorf("%s has the same digest", name)
		}
	}
	if digestOfVector([]float32{1, 2}) == digestOfVector([]float32{2, 1}) {
		t.Error("two vectors have the same digest")
	}
}
