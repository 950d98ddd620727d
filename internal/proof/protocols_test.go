package proof

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"singularity/llm"
	"singularity/llm/anthropic"
	"singularity/llm/gemini"
	"singularity/llm/openai"
)

// protocol is how a provider's server is asked, and how it answers.
type protocol struct {
	asked   func(r *http.Request) (model, text string, err error)
	answers func(model string, usage llm.Usage) string
	refuses func(model string, usage llm.Usage) string // an answer that is no good
}

var protocols = map[string]protocol{
	openai.Name:    {askedOpenAI, answerOfOpenAI, refusalOfOpenAI},
	anthropic.Name: {askedAnthropic, answerOfAnthropic, refusalOfAnthropic},
	gemini.Name:    {askedGemini, answerOfGemini, refusalOfGemini},
}

func askedOpenAI(r *http.Request) (model, text string, err error) {
	var request struct {
		Model    string        `json:"model"`
		Messages []llm.Message `json:"messages"`
	}
	err = json.NewDecoder(r.Body).Decode(&request)
	for _, message := range request.Messages {
		text += message.Content
	}
	return request.Model, text, err
}

func chunk(model, choices, usage string) string {
	return fmt.Sprintf("data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":%q,\"choices\":[%s],\"usage\":%s}\n\n", model, choices, usage)
}

func openAIStream(model, delta string, usage llm.Usage) string {
	return chunk(model, `{"index":0,"delta":{`+delta+`},"finish_reason":null}`, "null") +
		chunk(model, `{"index":0,"delta":{},"finish_reason":"stop"}`, "null") +
		chunk(model, "", fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, usage.In, usage.Out, usage.Total())) +
		"data: [DONE]\n\n"
}

func answerOfOpenAI(model string, usage llm.Usage) string {
	return openAIStream(model, `"content":"Yes."`, usage)
}

func refusalOfOpenAI(model string, usage llm.Usage) string {
	return openAIStream(model, `"refusal":"No."`, usage)
}

func askedAnthropic(r *http.Request) (model, text string, err error) {
	var request struct {
		Model    string `json:"model"`
		Messages []struct {
			Content []struct {
				Text string `json:"text"`
			} `json:"content"`
		} `json:"messages"`
	}
	err = json.NewDecoder(r.Body).Decode(&request)
	for _, message := range request.Messages {
		for _, part := range message.Content {
			text += part.Text
		}
	}
	return request.Model, text, err
}

func event(kind, fields string) string {
	return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"" + fields + "}\n\n"
}

func anthropicStream(model, text, reason string, usage llm.Usage) string {
	counts := fmt.Sprintf(`{"input_tokens":%d,"output_tokens":%d}`, usage.In, usage.Out)
	return event("message_start", fmt.Sprintf(`,"message":{"id":"m","type":"message","role":"assistant","model":%q,"content":[],"stop_reason":null,"stop_sequence":null,"usage":%s}`, model, counts)) +
		event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`) +
		event("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":%q}`, text)) +
		event("content_block_stop", `,"index":0`) +
		event("message_delta", fmt.Sprintf(`,"delta":{"stop_reason":%q,"stop_sequence":null},"usage":%s`, reason, counts)) +
		event("message_stop", "")
}

func answerOfAnthropic(model string, usage llm.Usage) string {
	return anthropicStream(model, "Yes.", "end_turn", usage)
}

func refusalOfAnthropic(model string, usage llm.Usage) string {
	return anthropicStream(model, "No", "refusal", usage)
}

func askedGemini(r *http.Request) (model, text string, err error) {
	var request struct {
		Contents []struct {
			Parts []struct {
				Text string `json:"text"`
			} `json:"parts"`
		} `json:"contents"`
	}
	err = json.NewDecoder(r.Body).Decode(&request)
	for _, content := range request.Contents {
		for _, part := range content.Parts {
			text += part.Text
		}
	}
	model, _, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1beta/models/"), ":")
	return model, text, err
}

func geminiStream(model, fields string, usage llm.Usage) string {
	return fmt.Sprintf("data: {%s,\"usageMetadata\":{\"promptTokenCount\":%d,\"candidatesTokenCount\":%d,\"totalTokenCount\":%d},\"modelVersion\":%q,\"responseId\":\"r\"}\r\n\r\n",
		fields, usage.In, usage.Out, usage.Total(), model)
}

func answerOfGemini(model string, usage llm.Usage) string {
	return geminiStream(model, `"candidates":[{"content":{"parts":[{"text":"Yes."}],"role":"model"},"finishReason":"STOP","index":0}]`, usage)
}

func refusalOfGemini(model string, usage llm.Usage) string {
	return geminiStream(model, `"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"No."}`, usage)
}
