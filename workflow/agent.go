package workflow

import "time"

// Agent is a named receiver of messages: a function registered in Go, or a
// process that listens over the API.
type Agent struct {
	Name         string    `json:"name"`
	Kind         string    `json:"kind"`    // "go" or "attached"
	Home         string    `json:"home"`    // the instance that it lives on
	Live         bool      `json:"live"`    // it is there to take messages now
	Waiting      int       `json:"waiting"` // messages that are not acknowledged yet
	RegisteredAt time.Time `json:"registered_at"`
}

// Delivery is a message on its way to an agent. It is repeated until it is
// acknowledged, so an agent may see it twice: Message.ID tells.
type Delivery struct {
	Message
	ArrivedAt time.Time `json:"arrived_at"`
}
