package remoting_test

import (
	"context"
	"fmt"

	"singularity/cluster/remoting"
)

// Two nodes on loopback, where they may do without TLS.
func Example() {
	greet := func(_ context.Context, d remoting.Delivery) (remoting.Reply, error) {
		if d.Type != "greet" {
			return remoting.Reply{}, fmt.Errorf("%w: %s takes greet", remoting.ErrUnknownType, d.Target)
		}
		return remoting.Reply{Type: "greeted", Payload: append([]byte("hello "), d.Payload...)}, nil
	}
	a, err := remoting.Listen(remoting.Config{Boot: "a1", Deliver: greet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := remoting.Listen(remoting.Config{Boot: "b1", Deliver: greet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	reply, err := a.Call(context.Background(), b.Self(), remoting.Message{Type: "greet", Target: "agent/echo", Payload: []byte("b")})
	fmt.Println(reply.Type, string(reply.Payload), err)
	// Output: greeted hello b <nil>
}
