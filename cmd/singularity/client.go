package main

import (
	"net/http"
	"net/url"
	"strings"

	"singularity/messages/messagesconnect"
)

// client calls the services of a node.
type client struct {
	runs      messagesconnect.RunServiceClient
	workflows messagesconnect.WorkflowServiceClient
	actors    messagesconnect.ActorServiceClient
	agents    messagesconnect.AgentServiceClient
	schedules messagesconnect.ScheduleServiceClient
	cluster   messagesconnect.ClusterServiceClient
	queues    messagesconnect.QueueServiceClient
}

func (c *cli) client() (*client, error) {
	if !strings.Contains(c.address, "://") {
		c.address = "http://" + c.address
	}
	c.address = strings.TrimRight(c.address, "/")
	parsed, err := url.Parse(c.address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, usagef("--address %q is not the address of a node; expected one such as http://127.0.0.1:4000", c.address)
	}
	if c.token != "" && eavesdropped(parsed) {
		return nil, usagef("--address %s is not encrypted, and the token could be read on the way; use https://", c.address)
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	caller := &http.Client{
		Transport: transport,
		// A node does not send its clients elsewhere; what does is no node.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &client{
		runs:      messagesconnect.NewRunServiceClient(caller, c.address),
		workflows: messagesconnect.NewWorkflowServiceClient(caller, c.address),
		actors:    messagesconnect.NewActorServiceClient(caller, c.address),
		agents:    messagesconnect.NewAgentServiceClient(caller, c.address),
		schedules: messagesconnect.NewScheduleServiceClient(caller, c.address),
		cluster:   messagesconnect.NewClusterServiceClient(caller, c.address),
		queues:    messagesconnect.NewQueueServiceClient(caller, c.address),
	}, nil
}

// eavesdropped reports whether others may read what is sent to an address.
func eavesdropped(address *url.URL) bool {
	return address.Scheme == "http" && !local(address.Hostname())
}
