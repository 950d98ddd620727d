package centralcloud

import (
	"cmp"
	"strings"
)

// Arm is a model at a provider: one of the choices for a call.
type Arm struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
}

// String returns the arm as provider/model.
func (a Arm) String() string { return a.Provider + "/" + a.Model }

// Compare orders arms by provider, then by model.
func (a Arm) Compare(b Arm) int {
	return cmp.Or(strings.Compare(a.Provider, b.Provider), strings.Compare(a.Model, b.Model))
}

// Wildcards of a [PolicyRow].
const (
	AnyTask   = "*"
	AnyBucket = -1
)
