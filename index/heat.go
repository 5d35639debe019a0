package index

// What is about to be written is brought into memory in large pieces: a fault for each page costs more than what is
// written to it.

const (
	// heatSize is how much space for entries is brought into memory at once.
	heatSize = 128 << 10
	// slotsPerUsed is to how many slots one must be in use for all of them to be brought into memory: it is to each fourth page of
	// 4 KiB. With fewer keys than that the other pages are not worth having.
	slotsPerUsed = 4 * 4096 / slotSize
)

// heat brings the pages of the entries before a position into memory, and some behind them.
func (f *file) heat(from int) {
	size := int(min(heatSize, f.fileSize()-int64(from)))
	f.heated = from + size
	_ = f.mapping.Preheat(from, size) // only quicker
}

// heatSlots brings all slots of the active file into memory, beside the dispatcher, once so many are in use that all pages
// soon will be: in a new file, and in one that is written to again. Otherwise each page is met by two faults, as it is read
// before it is written.
func (x *Index) heatSlots() {
	f := x.writer.active
	if enough := x.slots / slotsPerUsed; f.slotsAsked || enough == 0 || f.used.Load() < enough {
		return
	}
	f.slotsAsked = true
	if b, _ := x.acquire(f); b == nil {
		return // closed
	}
	m, reopened := f.mapping, f.reopened
	go func() {
		n := headerSize + int(x.slots)*slotSize
		if reopened {
			_ = m.Load(0, n) // in order, instead of page by page
		}
		_ = m.Preheat(0, n)
		_ = x.release(f) // as after a query; there is nobody to tell
	}()
}
