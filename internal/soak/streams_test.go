package soak

import (
	"context"
	"encoding/json"
	"fmt"

	"singularity/messages"
)

// ping asks the dispatcher of a boot, through a node, who it is, and returns the
// label of the process that answers.
func (n *node) ping(ctx context.Context, boot string) (label string, err error) {
	answer, err := n.actors.Send(ctx, &messages.SendRequest{Pid: boot + "/dispatcher", Type: "ping"})
	if err != nil {
		return "", err
	}
	var pong struct{ Node string }
	return pong.Node, json.Unmarshal([]byte(answer.GetReplyJson()), &pong)
}

// awaitStreams waits until each node reaches each other.
func (c *cluster) awaitStreams() {
	c.t.Helper()
	for _, to := range c.living() {
		boot := c.boot(to)
		for _, from := range c.living() {
			await(c.t, func(ctx context.Context) (string, error) {
				if _, err := from.ping(ctx, boot); err != nil {
					return fmt.Sprintf("node %d does not reach node %d: %v", from.pid(), to.pid(), err), nil
				}
				return "", nil
			})
		}
	}
}
