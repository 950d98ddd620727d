package gossip_test

import (
	"context"
	"fmt"
	"log/slog"

	"singularity/cluster/gossip"
)

func Example() {
	ctx := context.Background()
	quiet := slog.New(slog.DiscardHandler)
	first, err := gossip.Open(ctx, gossip.Config{
		Boot:     "boot-1",
		Instance: "one",
		Bind:     "127.0.0.1:0",
		Meta:     gossip.Meta{Role: "node"},
		Logger:   quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	second, err := gossip.Open(ctx, gossip.Config{
		Boot:     "boot-2",
		Instance: "two",
		Bind:     "127.0.0.1:0",
		Seeds:    []string{first.Address()},
		Meta:     gossip.Meta{Role: "node"},
		Logger:   quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Close()

	for view, changes := range first.Watch(ctx) {
		for _, change := range changes {
			fmt.Println(change.Member.Instance, change.Kind, "as", change.Member.Role)
		}
		if view.Len() == 2 {
			break
		}
	}
	// Output:
	// one joined as node
	// two joined as node
}
