package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	topology "go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/temporal"
)

// historyShards are as many as in Temporal's own configuration for development.
const historyShards = 4

// startServer starts all four services and returns the address of their API.
func startServer(ctx context.Context, databaseURL string) (temporal.Server, string, error) {
	runs, visibility, err := makeStores(ctx, databaseURL)
	if err != nil {
		return nil, "", fmt.Errorf("make the schema: %w", err)
	}
	ports, err := freePorts(8)
	if err != nil {
		return nil, "", err
	}
	services := map[string]config.Service{}
	for i, name := range temporal.DefaultServices {
		services[name] = config.Service{RPC: config.RPC{GRPCPort: ports[2*i], MembershipPort: ports[2*i+1], BindOnLocalHost: true}}
	}
	frontend := net.JoinHostPort("127.0.0.1", strconv.Itoa(services["frontend"].RPC.GRPCPort))
	const cluster = "active"
	server, err := temporal.NewServer(
		temporal.WithConfig(&config.Config{
			Global: config.Global{Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}},
			Persistence: config.Persistence{
				DefaultStore:     "runs",
				VisibilityStore:  "visibility",
				NumHistoryShards: historyShards,
				DataStores:       map[string]config.DataStore{"runs": {SQL: runs}, "visibility": {SQL: visibility}},
			},
			ClusterMetadata: &topology.Config{
				FailoverVersionIncrement: 10,
				MasterClusterName:        cluster,
				CurrentClusterName:       cluster,
				ClusterInformation: map[string]topology.ClusterInformation{
					cluster: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
				},
			},
			DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
			Services:            services,
			Archival: config.Archival{
				History:    config.HistoryArchival{State: "disabled"},
				Visibility: config.VisibilityArchival{State: "disabled"},
			},
			NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
				History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
				Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
			}},
			PublicClient: config.PublicClient{HostPort: frontend},
		}),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithLogger(log.NewNoopLogger()),
		temporal.WithDynamicConfigClient(unlimited()),
	)
	if err != nil {
		return nil, "", err
	}
	return server, frontend, server.Start()
}

// unlimited lifts the rates that a host and a namespace are held to by default.
func unlimited() dynamicconfig.StaticClient {
	rates := dynamicconfig.StaticClient{}
	for _, name := range []string{
		"frontend.rps", "frontend.namespaceRPS", "frontend.namespaceCount", "frontend.persistenceMaxQPS",
		"history.rps", "history.persistenceMaxQPS", "matching.rps", "matching.persistenceMaxQPS", "worker.persistenceMaxQPS",
	} {
		rates[dynamicconfig.MakeKey(name)] = 1_000_000
	}
	return rates
}

// freePorts asks the system for ports that nobody has, all different.
func freePorts(n int) (ports []int, err error) {
	for range n {
		listener, failure := net.Listen("tcp", "127.0.0.1:0")
		if failure != nil {
			return nil, errors.Join(err, failure)
		}
		defer func() { err = errors.Join(err, listener.Close()) }()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
