package remoting

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// Peer is a node for as long as its process lives.
type Peer struct {
	Address string // host:port, where other nodes reach it
	Boot    string // the id of this start of the process, which is never used again
}

var bootID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// String is the peer as host:port#boot.
func (p Peer) String() string { return p.Address + "#" + p.Boot }

func (p Peer) validate() error {
	if host, port, err := net.SplitHostPort(p.Address); err != nil || host == "" || port == "" {
		return fmt.Errorf("address %q of a peer: expected host:port", p.Address)
	}
	if !bootID.MatchString(p.Boot) {
		return fmt.Errorf("boot %q of a peer: expected 1 to 64 letters, digits, - or _", p.Boot)
	}
	return nil
}

func parsePeer(text string) (Peer, error) {
	address, boot, _ := strings.Cut(text, "#")
	p := Peer{Address: address, Boot: boot}
	return p, p.validate()
}
