package wire

import (
	"errors"
	"fmt"
	"strings"

	"singularity/llm"
)

// Answer puts an answer together from the pieces that arrive.
type Answer struct {
	llm.Response                    // the text comes with End
	OnText       func(delta string) // hears of each piece; may be nil

	text    strings.Builder
	refusal strings.Builder
}

// Say adds a piece of the text.
func (a *Answer) Say(delta string) {
	a.text.WriteString(delta)
	if a.OnText != nil && delta != "" {
		a.OnText(delta)
	}
}

// Refuse adds a piece of the reason for which there is no answer.
func (a *Answer) Refuse(reason string) { a.refusal.WriteString(reason) }

// TooLong reports whether the answer is longer than can be kept, so that there
// is no use in reading on.
func (a *Answer) TooLong() bool { return a.text.Len() > llm.MaxText || a.refusal.Len() > llm.MaxText }

// ErrFiltered is an answer that a filter stopped.
var ErrFiltered = errors.New("the provider's content filter stopped the answer")

var (
	errCutOff  = errors.New("the answer ended before the model had finished")
	errTooLong = fmt.Errorf("the answer is longer than %d bytes", llm.MaxText)
)

// refusalError is a model's own words on why it does not answer.
type refusalError struct{ reason string }

func (e *refusalError) Error() string { return "the model refused to answer: " + e.reason }

// End returns the answer of a call whose stream has ended, with err or without,
// and what is wrong with it. What it cost is known even so.
func (a *Answer) End(call *Call, err error) (llm.Response, error) {
	a.Text = a.text.String()
	switch {
	case err != nil:
		return a.Response, err
	case a.TooLong():
		return a.Response, errTooLong
	case call.broken != nil:
		return a.Response, call.broken
	case a.Finish == "":
		return a.Response, errCutOff
	case a.refusal.Len() > 0:
		return a.Response, &refusalError{a.refusal.String()}
	}
	return a.Response, nil
}
