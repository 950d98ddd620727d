package centralcloud

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Questions are written as one text, since there are very many of them: one after
// the other, with semicolons between. Of one that was asked once, there is what was
// asked, when, and the answer; of others the number of calls, the last time, the
// highest answer and the buckets of the gaps follow. Numbers are hexadecimal.
//
//	0011223344556677 643fd4a8d7c40 8899aabbccddeeff 2 643fd4a8e1880 8899aabbccddeeff 1f3:1;…
type Questions []Question

// MarshalJSON writes the text.
func (q Questions) MarshalJSON() ([]byte, error) {
	text := []byte{'"'}
	for i := range q {
		if i > 0 {
			text = append(text, ';')
		}
		text = q[i].append(text)
	}
	return append(text, '"'), nil
}

func (q *Question) append(text []byte) []byte {
	text = fmt.Appendf(text, "%016x %x %016x", uint64(q.Sealed), q.First, uint64(q.Answers[0]))
	if q.Calls == 1 {
		return text
	}
	text = fmt.Appendf(text, " %x %x %016x", q.Calls, q.Last, uint64(q.Answers[1]))
	for _, gap := range q.Gaps {
		text = fmt.Appendf(text, " %x:%x", gap.Bucket, gap.Count)
	}
	return text
}

// UnmarshalJSON reads what MarshalJSON writes.
func (q *Questions) UnmarshalJSON(document []byte) error {
	var text string
	if err := json.Unmarshal(document, &text); err != nil {
		return fmt.Errorf("questions: %w", err)
	}
	if text == "" {
		*q = nil
		return nil
	}
	list := make(Questions, 0, strings.Count(text, ";")+1)
	for one := range strings.SplitSeq(text, ";") {
		question, err := parseQuestion(one)
		if err != nil {
			return fmt.Errorf("question %d: %w", len(list), err)
		}
		list = append(list, question)
	}
	*q = list
	return nil
}

func parseQuestion(text string) (Question, error) {
	in := hexReader{rest: text}
	q := Question{Sealed: Sealed(in.next(64)), First: int64(in.next(63)), Answers: [2]Sealed{0: Sealed(in.next(64))}, Calls: 1}
	q.Last, q.Answers[1] = q.First, q.Answers[0]
	if in.rest != "" {
		q.Calls, q.Last, q.Answers[1] = int64(in.next(63)), int64(in.next(63)), Sealed(in.next(64))
	}
	for in.rest != "" && in.err == nil {
		q.Gaps = append(q.Gaps, SketchBucket{Bucket: int(in.next(16)), Count: int64(in.next(63))})
	}
	if in.err != nil {
		return q, in.err
	}
	return q, q.Gaps.check()
}

// hexReader reads numbers with spaces or colons between.
type hexReader struct {
	rest string
	err  error
}

func (r *hexReader) next(bits int) uint64 {
	end := strings.IndexAny(r.rest, " :")
	word := r.rest
	if end >= 0 {
		word, r.rest = r.rest[:end], r.rest[end+1:]
	} else {
		r.rest = ""
	}
	number, err := strconv.ParseUint(word, 16, bits)
	if err != nil && r.err == nil {
		r.err = err
	}
	return number
}
