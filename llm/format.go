package llm

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Format is what an answer has to look like. One that does not fails with
// [Unparsable], so that another attempt, at another model where there is one, may
// do better.
type Format string

// The formats of answers.
const (
	AnyFormat  Format = ""
	JSONFormat Format = "json" // a JSON document, with nothing around it
)

// Formats lists every format.
var Formats = []Format{AnyFormat, JSONFormat}

// check returns an error unless an answer has the format.
func (f Format) check(provider string, response Response) error {
	if f != JSONFormat {
		return nil
	}
	var document json.RawMessage
	err := json.Unmarshal([]byte(response.Text), &document)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("the answer is not JSON, which was asked for: %w", err)
	if response.Finish == CutShort {
		err = fmt.Errorf("%w; it was cut off by the limit of its length", err)
	}
	return unparsable(provider, err)
}

func unparsable(provider string, err error) error {
	return &Error{Class: Unparsable, Provider: provider, Err: err}
}

var errRejected = errors.New("the answer was rejected")

// Reject says that the answer is not in the form that was asked for, and returns
// the error for the step to fail with, of class [Unparsable]: the record of the call
// then says that there was an answer, and that it was no good. It holds in the step
// that called; how good an answer was that a later step looks at, a score says.
func (c *Call) Reject(err error) error {
	if err == nil {
		err = errRejected
	}
	arm := c.AnsweredBy()
	rejection := unparsable(arm.Provider, err)
	if c.record != nil {
		c.record.rejected = rejection
	}
	return fmt.Errorf("call model %s: %w", arm.Model, rejection)
}
