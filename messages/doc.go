// Package messages holds what crosses a node or an API boundary, as generated
// from the protobuf files in singularity/v1. The clients and handlers of the
// services are in package messagesconnect.
package messages

//go:generate go tool -modfile=../tools/go.mod buf generate
