package main

import (
	"github.com/spf13/pflag"

	"singularity"
)

// clusterFlags say how a node finds the others, and talks to them.
type clusterFlags struct {
	gossip          string
	gossipAdvertise string
	actors          string
	actorsAdvertise string
	join            []string
	keyFile         string
	name            string
}

func (f *clusterFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.gossip, "gossip", "", "where nodes find each other, by TCP and UDP (default 127.0.0.1:7946, or a free port if that is in use); beyond loopback it takes --gossip-key-file")
	set.StringVar(&f.gossipAdvertise, "gossip-advertise", "", "the host:port at which others reach --gossip (default: itself)")
	set.StringVar(&f.actors, "actors", "", "where nodes send each other messages (default 127.0.0.1:7947, or a free port if that is in use); beyond loopback it takes --tls-dir")
	set.StringVar(&f.actorsAdvertise, "actors-advertise", "", "the host:port at which others reach --actors (default: itself)")
	set.StringSliceVar(&f.join, "join", nil, "the --gossip of nodes to join (default: those that are registered in the database)")
	set.StringVar(&f.keyFile, "gossip-key-file", "", "the keys that encrypt the gossip: one a line in base64, of 32 bytes, the first in use; cluster keys replaces them, here too")
	set.StringVar(&f.name, "cluster", "", "a name that all nodes of a cluster have in common; those of others are refused (default: one made of the identity of the database)")
}

// config is the cluster of a node whose API is at url.
func (f *clusterFlags) config(tlsDir, url string) *singularity.Cluster {
	return &singularity.Cluster{
		Name:            f.name,
		Gossip:          f.gossip,
		AdvertiseGossip: f.gossipAdvertise,
		Actors:          f.actors,
		AdvertiseActors: f.actorsAdvertise,
		API:             url,
		Seeds:           f.join,
		TLSDir:          tlsDir,
		GossipKeyFile:   f.keyFile,
	}
}
