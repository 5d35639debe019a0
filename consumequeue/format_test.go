package consumequeue

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
)

func TestUnitFormat(t *testing.T) {
	for _, tt := range []struct {
		u   Unit
		hex string
	}{
		{Unit{}, "0000000000000000000000000000000000000000"},
		{Unit{0x0102030405060708, 0x090a0b0c, 0x0d0e0f1011121314}, "0102030405060708090a0b0c0d0e0f1011121314"},
		{Unit{123, 1, -1}, "000000000000007b00000001ffffffffffffffff"},
		{Unit{0, math.MaxInt32, 0}, "00000000000000007fffffff0000000000000000"},
	} {
		var b [unitSize]byte
		putUnit(b[:], tt.u)
		want, _ := hex.DecodeString(tt.hex)
		if !bytes.Equal(b[:], want) || getUnit(want) != tt.u {
			t.Errorf("%+v is %x, read back %+v", tt.u, b, getUnit(want))
		}
	}
}

func TestFileNames(t *testing.T) {
	for start, name := range map[int64]string{
		0: "00000000000000000000", 6_000_000: "00000000000006000000", math.MaxInt64: "09223372036854775807",
	} {
		if got := string(appendFileName(nil, start)); got != name {
			t.Errorf("%d is %s", start, got)
		}
		if got, ok := parseFileName(name); (got != start || !ok) && start < math.MaxInt64-9 {
			t.Errorf("%s is %d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "0", "0000000000000000000x", "000000000000000000000", "99999999999999999999", "-0000000000000000020"} {
		if got, ok := parseFileName(name); ok {
			t.Errorf("%q is %d", name, got)
		}
	}
	for name, want := range map[string]int32{"0": 0, "7": 7, "2147483647": math.MaxInt32} {
		if got, ok := parseQueueID(name); got != want || !ok {
			t.Errorf("%q is %d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "00", "01", "+1", "-1", "2147483648", "99999999999", "1 ", "a"} {
		if got, ok := parseQueueID(name); ok {
			t.Errorf("%q is queue %d", name, got)
		}
	}
}

// TestStraddles counts by hand: four units of a block of five sectors.
func TestStraddles(t *testing.T) {
	var across []int64
	for i := range int64(blockUnits) {
		if i*unitSize/sectorSize != (i*unitSize+unitSize-1)/sectorSize {
			across = append(across, i)
		}
		if straddles(i) != straddles(i+3*blockUnits) || straddles(i) != (len(across) > 0 && across[len(across)-1] == i) {
			t.Errorf("unit %d: %v", i, straddles(i))
		}
	}
	if len(across) != 4 {
		t.Errorf("units %v lie across sectors", across)
	}
}
