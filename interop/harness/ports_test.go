package harness

import (
	"sync"
	"testing"
)

// TestPlacesShareNoPort has places made side by side: no port is given twice,
// though nothing listens at any of them.
func TestPlacesShareNoPort(t *testing.T) {
	const makers, each = 4, 100
	places := make(chan Place, makers*each)
	var wg sync.WaitGroup
	for range makers {
		wg.Go(func() {
			for range each {
				p, err := NewPlace("", nil)
				if err != nil {
					t.Error(err)
					return
				}
				places <- p
			}
		})
	}
	wg.Wait()
	close(places)
	seen := map[int]bool{}
	for p := range places {
		for _, port := range []int{p.NameServerPort, p.HTTPPort, p.BrokerPort - 2, p.BrokerPort, p.BrokerPort + 1} {
			if seen[port] {
				t.Fatalf("port %d is given twice", port)
			}
			seen[port] = true
		}
	}
}
