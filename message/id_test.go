package message

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOffsetID(t *testing.T) {
	for id, want := range map[string]struct {
		host string
		off  PhyOffset
	}{
		"C0A8000100002A9F00000000000004D2":                         {"192.168.0.1:10911", 1234},
		"7F00000100009FCF7FFFFFFFFFFFFFFF":                         {"127.0.0.1:40911", 1<<63 - 1},
		"0000000000000000000000000000000100009FCF0000000000000400": {"[::1]:40911", 1024},
	} {
		host, off, err := ParseOffsetID(strings.ToLower(id))
		if err != nil || host != netip.MustParseAddrPort(want.host) || off != want.off {
			t.Errorf("%s: %v, %d, error %v", id, host, off, err)
		}
		if got := string(AppendOffsetID(nil, host, off)); got != id {
			t.Errorf("%s came back as %s", id, got)
		}
	}
	for _, id := range []string{"", "C0A8", "C0A8000100002A9F00000000000004D", "G0A8000100002A9F00000000000004D2",
		"C0A8000100012A9F00000000000004D2", "C0A80001FFFFFFFF00000000000004D2", strings.Repeat("0", 54),
		"C00002020D1A4E0E2F2A67B7DB5D000 "} {
		if _, _, err := ParseOffsetID(id); !errors.Is(err, ErrOffsetID) {
			t.Errorf("%q: error %v", id, err)
		}
	}
	mapped := netip.MustParseAddrPort("[::ffff:192.168.0.1]:10911")
	if got := string(AppendOffsetID(nil, mapped, 1234)); got != "C0A8000100002A9F00000000000004D2" {
		t.Errorf("mapped address gives %s", got)
	}
}

func TestIDSource(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, int(7*time.Millisecond), time.Local)
	s := NewIDSource(netip.MustParseAddr("192.0.2.2"), 0x4E0E2F2A, func() time.Time { return now })
	first, second := s.Next(), s.Next()
	if !regexp.MustCompile("^C0000202[0-9A-F]{4}4E0E2F2A000000070000$").MatchString(first) {
		t.Fatalf("first id %s", first)
	}
	if second != first[:len(first)-1]+"1" {
		t.Fatalf("second id %s after %s", second, first)
	}
	now = now.AddDate(0, 1, 0)
	if id := s.Next(); id[20:] != "000000070002" {
		t.Fatalf("id of the next month %s", id)
	}
	now = now.Add(-time.Second)
	if id := s.Next(); id[20:] != "000000000003" {
		t.Fatalf("id of a clock set back %s", id)
	}
	v6 := NewIDSource(netip.MustParseAddr("2001:db8::1"), 1, nil)
	if id := v6.Next(); len(id) != 56 || !strings.HasPrefix(id, "20010DB8") {
		t.Fatalf("id with IPv6 %s", id)
	}
	if id := NewUniqueID(); len(id) != 32 || id == NewUniqueID() {
		t.Fatalf("default id %s", id)
	}
}

func TestIDSourceConcurrent(t *testing.T) {
	s := NewIDSource(netip.Addr{}, 1, nil)
	var mu sync.Mutex
	seen := make(map[string]bool)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				id := s.Next()
				mu.Lock()
				if seen[id] {
					t.Errorf("%s came twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
