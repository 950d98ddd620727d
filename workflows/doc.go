// Package workflows has the workflows that ship with the engine: llm_request,
// embedding and agent_coordination.
//
// Each has a key, so that a request which comes twice is worked once: the
// second start attaches to the first run, or gets its stored result. A bad
// input is a refused start whose error names the field.
package workflows
