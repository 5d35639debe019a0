//go:build !amd64 || race

package index

// tell stores the count, and then into each slot of keys the number of its entry, the first of which is from. Whoever sees
// one of these stores sees all before it.
func (f *file) tell(b []byte, keys []keyPlace, from int32) {
	f.count.Store(from + int32(len(keys)))
	for i, k := range keys {
		storeSlot(b, k.slot, from+int32(i))
	}
}
