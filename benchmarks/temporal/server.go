package main

import (
	"context"
	"fmt"
	"math"
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
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(log.Config{Stdout: true, Level: "warn"}))),
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

// freePorts finds ports that nobody has. Temporal stores them as a smallint,
// which those that the system would choose do not fit.
func freePorts(n int) ([]int, error) {
	var ports []int
	for port := 17233; len(ports) < n; port++ {
		if port > math.MaxInt16 {
			return nil, fmt.Errorf("fewer than %d ports below %d are free", n, port)
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue // somebody has it
		}
		if err := listener.Close(); err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
