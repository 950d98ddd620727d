package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) clusterTakeovers() *cobra.Command {
	var request messages.ListTakeoversRequest
	command := &cobra.Command{
		Use:   "takeovers",
		Short: "List the nodes that others declared dead, the latest first, and how long that took",
		Args:  arguments(),
		RunE: c.call(func(ctx context.Context, node *client, _ []string) error {
			response, err := node.cluster.ListTakeovers(ctx, &request)
			if err != nil {
				return err
			}
			takeovers := make([]takeover, len(response.GetTakeovers()))
			for i, message := range response.GetTakeovers() {
				takeovers[i] = takeoverOf(message)
			}
			return c.print(takeovers, func(t *table) {
				t.row("DECLARED DEAD", "INSTANCE", "GROUND", "DETECTED BY", "AFTER", "RELEASED", "QUARANTINED", "CLAIMED AFTER", "RESUMED AFTER")
				for _, o := range takeovers {
					t.row(o.DeclaredAt, o.Instance, o.Ground, o.DetectedBy, o.after(&o.DeclaredAt),
						o.Released, o.Quarantined, o.after(o.ClaimedAt), o.after(o.ResumedAt))
				}
			})
		}),
	}
	command.Flags().Int32Var(&request.Limit, "limit", 0, "how many, at most 1000 (default 100)")
	return command
}

// takeover is the end of a node, under the names of its columns.
type takeover struct {
	Boot        string     `json:"boot"`
	Instance    string     `json:"instance_id"`
	Judge       string     `json:"judge"`
	DetectedBy  string     `json:"detected_by"`
	Ground      string     `json:"ground"`
	SuspectedAt time.Time  `json:"suspected_at"`
	DeclaredAt  time.Time  `json:"declared_at"`
	Released    int32      `json:"released"`
	Quarantined int32      `json:"quarantined"`
	ClaimedAt   *time.Time `json:"claimed_at"`
	ResumedAt   *time.Time `json:"resumed_at"`
}

func takeoverOf(message *messages.Takeover) takeover {
	return takeover{
		Boot:        message.GetBoot(),
		Instance:    message.GetInstanceId(),
		Judge:       message.GetJudge(),
		DetectedBy:  message.GetDetectedBy(),
		Ground:      message.GetGround(),
		SuspectedAt: timeOf(message.GetSuspectedAt()),
		DeclaredAt:  timeOf(message.GetDeclaredAt()),
		Released:    message.GetReleased(),
		Quarantined: message.GetQuarantined(),
		ClaimedAt:   optionalTimeOf(message.GetClaimedAt()),
		ResumedAt:   optionalTimeOf(message.GetResumedAt()),
	}
}

// after is how long after the first suspicion something was; empty if it never
// was.
func (t takeover) after(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.Sub(t.SuspectedAt).Round(100 * time.Microsecond).String()
}
