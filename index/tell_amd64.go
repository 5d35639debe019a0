//go:build !race

package index

import "sync/atomic"

// tell stores the count, and then into each slot of keys the number of its entry, the first of which is from. Whoever sees
// one of these stores sees all before it. [atomic.StoreUint32] would have the processor wait, each time, until all
// stores before have reached the cache; this processor keeps them in order without.
func (f *file) tell(b []byte, keys []keyPlace, from int32) {
	tell(&f.count, &b[0], keys, from)
}

// tell is told by [file.tell]. The slots are not checked against the end of b.
//
//go:noescape
func tell(count *atomic.Int32, b *byte, keys []keyPlace, from int32)
