package transaction

// bitmap is a set of small numbers that grows as needed.
type bitmap struct {
	words []uint64
	skip  int // bits of the first word that are gone
}

func (b *bitmap) has(i int) bool {
	i += b.skip
	return i/64 < len(b.words) && b.words[i/64]>>(i%64)&1 != 0
}

func (b *bitmap) set(i int) {
	i += b.skip
	for i/64 >= len(b.words) {
		b.words = append(b.words, 0)
	}
	b.words[i/64] |= 1 << (i % 64)
}

// shift takes n off each number; those below n go.
func (b *bitmap) shift(n int) {
	n += b.skip
	whole := min(n/64, len(b.words))
	kept := copy(b.words, b.words[whole:])
	b.words = b.words[:kept]
	b.skip = n - whole*64
	if kept == 0 {
		b.skip = 0
		if cap(b.words) > 1024 {
			b.words = nil
		}
	}
}
