package llm

import "strings"

// Bucket is how demanding a request looks: 0 simple, 1 middling, 2 complex.
// Together with the task type it is what a choice of a model goes by.
type Bucket int

// Buckets is the number of buckets.
const Buckets = 3

// Complexity puts a request into a bucket by what is known before the call.
// It adds up points:
//
//	task type   0 for a simple one, 2 for a middling or unheard-of one, 4 for a complex one
//	length      1 from 4,000 bytes in all messages, 2 from 24,000
//	structure   1 for code or markup in a message, 1 for more than 8 messages
//
// 0 or 1 point is bucket 0, 2 or 3 are bucket 1, more is bucket 2. So a simple
// task on a long text is middling, and a long chat about code is complex.
func Complexity(taskType string, messages []Message) Bucket {
	points := taskPoints(taskType) + lengthPoints(messages) + structurePoints(messages)
	return min(Bucket(points/2), Buckets-1)
}

// taskTypes lists the points of the well-known task types.
var taskTypes = map[string]int{
	"classification": 0, "classifier": 0, "extraction": 0, "parser": 0, "simple_chat": 0, "tagging": 0, "web_search": 0,

	"chat": 2, "coder": 2, "decomposition": 2, "planning": 2, "pseudocode": 2, "qa": 2, "summarization": 2, "translation": 2,

	"architect": 4, "code_analysis": 4, "code_generation": 4, "math": 4, "pattern_analyzer": 4, "refactoring": 4, "research": 4,
}

func taskPoints(taskType string) int {
	if points, known := taskTypes[strings.ToLower(taskType)]; known {
		return points
	}
	return 2
}

func lengthPoints(messages []Message) int {
	length := 0
	for _, message := range messages {
		length += len(message.Content)
	}
	switch {
	case length >= 24_000:
		return 2
	case length >= 4_000:
		return 1
	default:
		return 0
	}
}

func structurePoints(messages []Message) int {
	points := 0
	if len(messages) > 8 {
		points++
	}
	for _, message := range messages {
		if isStructured(message.Content) {
			return points + 1
		}
	}
	return points
}

// isStructured reports whether a text holds a fenced block or is JSON or XML.
func isStructured(text string) bool {
	start := strings.TrimSpace(text)
	return strings.Contains(text, "```") || start != "" && strings.ContainsRune("{[<", rune(start[0]))
}
