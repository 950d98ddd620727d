package cluster

// Part is one of the things that a membership is made of.
type Part string

// The parts.
const (
	OfGossip       Part = "gossip"
	OfActors       Part = "actors"
	OfCertificates Part = "certificates"
)

// SetupError is that a part cannot be set up as it was asked for.
type SetupError struct {
	Part Part
	Err  error
}

func (e *SetupError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *SetupError) Unwrap() error { return e.Err }
