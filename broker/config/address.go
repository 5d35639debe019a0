package config

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// HostAddress is the address that a host's name stands for, for places that only hold addresses.
func HostAddress(host string) netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host); err == nil && len(list) > 0 {
		return list[0].Unmap()
	}
	a, _ := netip.ParseAddr(reachableAddress())
	return a
}

// reachableAddress picks the address that clients are told: the first of an interface that is up and not the loopback,
// IPv4 before IPv6 and public or site addresses before link-local ones, as RemotingUtil.getLocalAddress. On a machine
// with nothing but the loopback it is 127.0.0.1.
func reachableAddress() string {
	best := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	bestRank := 0
	interfaces, err := net.Interfaces()
	if err != nil {
		return best.String()
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			if rank := addressRank(prefix.Addr().Unmap()); rank > bestRank {
				best, bestRank = prefix.Addr().Unmap(), rank
			}
		}
	}
	return best.WithZone("").String()
}

// addressRank says how good an address is to be told to clients; 0 is not at all.
func addressRank(a netip.Addr) int {
	switch {
	case !a.IsValid() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast():
		return 0
	case a.Is4() && !a.IsLinkLocalUnicast():
		return 4
	case a.Is4():
		return 2
	case !a.IsLinkLocalUnicast():
		return 3
	default:
		return 0
	}
}
