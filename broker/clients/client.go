package clients

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// clientLife is the time without a heartbeat after which a client is gone (Java's channelExpiredTimeout). Clients send one
// every 30 s.
const clientLife = 120 * time.Second

// A Channel is the broker's end of a client's connection, as far as the tables of clients need it.
type Channel interface {
	RemoteAddr() netip.AddrPort
	Oneway(*remoting.Command) error
}

// A Client is one connection's membership in one group.
type Client struct {
	Channel  Channel
	ID       string
	Language protocol.Language
	Version  int32
	LastSeen time.Time // by the table
}

// sortedClients are the members in the order of their ids.
func sortedClients(members map[Channel]*Client) []Client {
	list := make([]Client, 0, len(members))
	for _, m := range members {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b Client) int {
		if d := strings.Compare(a.ID, b.ID); d != 0 {
			return d
		}
		return a.Channel.RemoteAddr().Compare(b.Channel.RemoteAddr())
	})
	return list
}
