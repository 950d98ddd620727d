package gemini

import (
	"cmp"
	"encoding/json"
	"errors"
	"iter"

	"google.golang.org/genai"

	"singularity/llm"
	"singularity/llm/wire"
)

// collect reads an answer to its end.
func collect(stream iter.Seq2[*genai.GenerateContentResponse, error], call *wire.Call, onText func(string)) (llm.Response, error) {
	next, stop := iter.Pull2(stream)
	defer stop()
	answer := wire.Answer{OnText: onText}
	for !answer.TooLong() {
		chunk, err := read(next)
		if chunk == nil {
			return answer.End(call, streamError(err))
		}
		answer.Model = cmp.Or(chunk.ModelVersion, answer.Model)
		if usage := usageOf(chunk.UsageMetadata); usage.Known() {
			answer.Usage = usage
		}
		call.Saw(take(&answer, chunk))
	}
	return answer.End(call, nil)
}

// read returns the next chunk, or nil at the end. The SDK takes the shape of
// what it reads for granted, and panics where it is another.
func read(next func() (*genai.GenerateContentResponse, error, bool)) (chunk *genai.GenerateContentResponse, err error) {
	defer func() {
		if recover() != nil {
			chunk, err = nil, errors.New("the answer is not of the shape that the protocol has")
		}
	}()
	chunk, err, _ = next()
	if err != nil {
		return nil, err
	}
	return chunk, nil
}

// take adds what a chunk holds to the answer, and reports whether there was a
// token in it, a thought included.
func take(answer *wire.Answer, chunk *genai.GenerateContentResponse) bool {
	if feedback := chunk.PromptFeedback; feedback != nil && feedback.BlockReason != "" {
		answer.Finish = llm.Otherwise
		answer.Refuse(cmp.Or(feedback.BlockReasonMessage, string(feedback.BlockReason)))
	}
	if len(chunk.Candidates) == 0 || chunk.Candidates[0] == nil {
		return false
	}
	candidate := chunk.Candidates[0]
	token := false
	if candidate.Content != nil {
		for _, part := range candidate.Content.Parts {
			if part == nil {
				continue
			}
			token = token || part.Text != "" || len(part.ThoughtSignature) > 0
			if !part.Thought {
				answer.Say(part.Text)
			}
		}
	}
	answer.Finish = cmp.Or(finishOf(candidate.FinishReason), answer.Finish)
	if isFiltered(candidate.FinishReason) {
		answer.Refuse(string(candidate.FinishReason))
	}
	return token
}

// streamError takes the document out of an error event. The SDK makes the same
// of one as of an answer that is an error, which the call knows by itself.
func streamError(err error) error {
	if event, ok := errors.AsType[genai.APIError](err); ok {
		document, _ := json.Marshal(map[string]any{"error": event})
		return &wire.ReportedError{Document: document}
	}
	return err
}

// usageOf counts thoughts as a part of the answer: that is how they are charged.
func usageOf(usage *genai.GenerateContentResponseUsageMetadata) llm.Usage {
	if usage == nil {
		return llm.Usage{}
	}
	return llm.Usage{
		In:     int64(usage.PromptTokenCount) + int64(usage.ToolUsePromptTokenCount),
		Out:    int64(usage.CandidatesTokenCount) + int64(usage.ThoughtsTokenCount),
		Cached: int64(usage.CachedContentTokenCount),
	}
}

func finishOf(reason genai.FinishReason) llm.Finish {
	switch reason {
	case "", genai.FinishReasonUnspecified:
		return ""
	case genai.FinishReasonStop:
		return llm.Stopped
	case genai.FinishReasonMaxTokens:
		return llm.CutShort
	default:
		return llm.Otherwise
	}
}

func isFiltered(reason genai.FinishReason) bool {
	switch reason {
	case genai.FinishReasonSafety, genai.FinishReasonRecitation, genai.FinishReasonBlocklist,
		genai.FinishReasonProhibitedContent, genai.FinishReasonSPII:
		return true
	}
	return false
}
