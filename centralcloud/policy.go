package centralcloud

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Mode says what a policy aims at.
type Mode string

// The modes of a policy.
const (
	// Reference takes the cheapest arm that is about as good as the reference
	// arm, and never a dearer one.
	Reference Mode = "reference"
	// Utility weighs success against money.
	Utility Mode = "utility"
	// Budget is Utility with the weight that keeps the spending at a target.
	Budget Mode = "budget"
)

// Policy is the document that goes down to the nodes: which arm to use for
// which kind of task, how often, and why. Its JSON is stable: equal policies
// have equal bytes.
type Policy struct {
	Version    int64     `json:"version"` // rises; nodes ignore what is not above their own
	MadeAt     time.Time `json:"made_at"`
	StateHash  string    `json:"state_hash"`  // of the counters and prices behind it
	ConfigHash string    `json:"config_hash"` // of what operators chose
	Mode       Mode      `json:"mode"`
	Reference  Arm       `json:"reference"`
	Delta      float64   `json:"delta"`       // success that Reference mode may give away
	CostWeight float64   `json:"cost_weight"` // success that one call of the reference arm is worth, in the other modes

	Rows        []PolicyRow    `json:"rows"` // by task type, then bucket
	DriftEvents []DriftEvent   `json:"drift_events,omitempty"`
	Quarantined []Quarantine   `json:"quarantined,omitempty"`
	Budget      *BudgetAccount `json:"budget,omitempty"`

	// Received is when this process learned the policy, on its own monotonic clock;
	// zero when it made the policy itself.
	Received time.Time `json:"-"`
}

// PolicyRow is the policy for one kind of task.
type PolicyRow struct {
	TaskType string  `json:"task_type"`         // or [AnyTask]
	Bucket   int     `json:"complexity_bucket"` // or [AnyBucket]
	N        float64 `json:"n_eff"`             // judged calls behind it, old ones counting less
	Judged   float64 `json:"judged_share"`      // of the recent answers; without verdicts nothing is learned
	Scored   float64 `json:"scored_share"`      // of these by a score, the others by the verdict of the step

	Arms     []PolicyArm `json:"arms"`     // by weight, the highest first
	Fallback []Arm       `json:"fallback"` // whom to ask when the chosen arm fails, in order
	Expected Expected    `json:"expected"`
	// Held says why the row has the weights of the policy before it: others would be
	// worse, by the calls that were made.
	Held string `json:"held_back,omitempty"`
}

// PolicyArm is what a row says of one arm.
type PolicyArm struct {
	Arm
	Weight    float64    `json:"weight"`  // the probability with which to choose it
	Success   float64    `json:"success"` // estimated
	CI95      [2]float64 `json:"ci95"`    // where the success probably lies
	CostCents float64    `json:"cost_cents"`
	TokensOut float64    `json:"tokens_out"`
	P50Millis int64      `json:"p50_ms"`
	P95Millis int64      `json:"p95_ms"`
	// TimeoutMillis is how long a call may take: most would be answered in less. 0 is
	// for what the node has, which also bounds it.
	TimeoutMillis int64   `json:"timeout_ms,omitempty"`
	N             int64   `json:"n"`             // judged calls, all counted alike
	NonInferior   float64 `json:"p_noninferior"` // the probability of being about as good as the reference
	Best          float64 `json:"p_best"`        // the probability of being the most successful of all
	Availability  float64 `json:"availability"`
	Barred        bool    `json:"barred,omitempty"` // by a guardrail, or because it is down: any weight is there to notice when it is back
	Why           string  `json:"why"`
}

// Expected compares a row with always using the reference arm.
type Expected struct {
	CostVsReference    float64 `json:"cost_vs_ref"` // -0.9: a tenth of the money
	SuccessVsReference float64 `json:"success_vs_ref"`
}

// DriftEvent says that an arm is no longer what it was.
type DriftEvent struct {
	Arm
	Kind     string    `json:"kind"` // quality or price
	At       time.Time `json:"at"`   // since when
	From     float64   `json:"from"` // success before, or dollars for a million tokens, in plus out
	To       float64   `json:"to"`
	N        int64     `json:"n"`        // judged calls since then, when it was noticed
	Evidence float64   `json:"evidence"` // standard deviations
}

// The kinds of drift events.
const (
	QualityDrift = "quality"
	PriceDrift   = "price"
)

// Quarantine says that an instance's counters are left out, because its calls
// fare unlike all others'.
type Quarantine struct {
	Instance string  `json:"instance_id"`
	Success  float64 `json:"success"`
	Expected float64 `json:"expected"` // by what the other instances saw at the same tasks and arms
	Evidence float64 `json:"evidence"` // standard deviations
	Why      string  `json:"why"`
}

// BudgetAccount is the state of Budget mode.
type BudgetAccount struct {
	TargetCents float64 `json:"target_cents"` // an hour
	SpentCents  float64 `json:"spent_cents"`  // in the last hour
	LeaseCents  float64 `json:"lease_cents"`  // what one instance may spend in an epoch while it does not hear from the hub
	W           float64 `json:"w"`            // the weight of money that holds the target
}

// Row returns the row for a kind of task: the one of its bucket, else the one
// of its type, else the one for all.
func (p *Policy) Row(taskType string, bucket int) (PolicyRow, bool) {
	for _, wanted := range Cells(taskType, bucket) {
		for _, row := range p.Rows {
			if row.Cell() == wanted {
				return row, true
			}
		}
	}
	return PolicyRow{}, false
}

// Cell is what a row of a policy is for.
type Cell struct {
	TaskType string `json:"task_type"`
	Bucket   int    `json:"complexity_bucket"`
}

func (c Cell) compare(other Cell) int {
	return cmp.Or(strings.Compare(c.TaskType, other.TaskType), cmp.Compare(c.Bucket, other.Bucket))
}

// Cell is what the row is for.
func (r PolicyRow) Cell() Cell { return Cell{r.TaskType, r.Bucket} }

// Cells lists the cells whose row may be the one for a kind of task. The first of
// them that has a row decides.
func Cells(taskType string, bucket int) [4]Cell {
	return [...]Cell{{taskType, bucket}, {taskType, AnyBucket}, {AnyTask, bucket}, {AnyTask, AnyBucket}}
}

// Encode returns the bytes of the policy.
func (p *Policy) Encode() ([]byte, error) {
	document, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode policy %d: %w", p.Version, err)
	}
	return document, nil
}

// DecodePolicy reads a policy. Fields that it does not know are ignored, so
// that nodes may be older than the hub.
func DecodePolicy(document []byte) (*Policy, error) {
	var policy Policy
	if err := json.Unmarshal(document, &policy); err != nil {
		return nil, fmt.Errorf("decode policy: %w", err)
	}
	return &policy, nil
}
