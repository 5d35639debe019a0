package subscription

import (
	"encoding/binary"
	"math/bits"
)

// bloomFilterData are the bits that a Java broker looks at in the extension of consume queues. Without them it ignores the
// whole file.
type bloomFilterData struct {
	BitNum int32   `json:"bitNum"`
	BitPos []int32 `json:"bitPos"`
}

// The dimensions of Java's bloom filter by its defaults: an error rate of 20 % among 32 consumers.
const (
	bloomBits   = 112
	bloomHashes = 3
)

// newBloomFilterData are the bits of a group's filter of a topic (Java's BloomFilter.generate).
func newBloomFilterData(group, topic string) *bloomFilterData {
	sum := murmur128([]byte(group + "#" + topic))
	d := &bloomFilterData{BitNum: bloomBits}
	for i := int32(1); i <= bloomHashes; i++ {
		h := int32(uint32(sum)) + i*int32(uint32(sum>>32))
		if h < 0 {
			h = ^h
		}
		d.BitPos = append(d.BitPos, h%bloomBits)
	}
	return d
}

// murmur128 is the first half of MurmurHash3 x64 128 with seed 0, as Guava's murmur3_128().asLong().
func murmur128(data []byte) uint64 {
	const c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
	mix1 := func(k uint64) uint64 { return bits.RotateLeft64(k*c1, 31) * c2 }
	mix2 := func(k uint64) uint64 { return bits.RotateLeft64(k*c2, 33) * c1 }
	size := uint64(len(data))
	var h1, h2 uint64
	for ; len(data) >= 16; data = data[16:] {
		h1 ^= mix1(binary.LittleEndian.Uint64(data))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= mix2(binary.LittleEndian.Uint64(data[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	if len(data) > 0 {
		var tail [16]byte
		copy(tail[:], data)
		h1 ^= mix1(binary.LittleEndian.Uint64(tail[:]))
		h2 ^= mix2(binary.LittleEndian.Uint64(tail[8:]))
	}
	final := func(h uint64) uint64 {
		h = (h ^ h>>33) * 0xff51afd7ed558ccd
		h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
		return h ^ h>>33
	}
	h1 ^= size
	h2 ^= size
	h1 += h2
	h2 += h1
	return final(h1) + final(h2)
}
