package ha

import (
	"fmt"
	"math"
	"slices"

	"github.com/rocketlog/rocketlog/message"
)

// EpochEntry says where in the log the reign of a master begins.
type EpochEntry struct {
	Epoch int32
	Start message.PhyOffset
}

// Epochs are the reigns that a log was written under, in order: both numbers
// grow from entry to entry. An entry ends where the next begins, and the last
// with the log. Two logs that both have an entry have the same bytes in it, as
// far as both go; that is what they are compared by. Epochs are never changed
// in place. Java: EpochFileCache.
type Epochs []EpochEntry

// epochsMax is how many entries a handshake of Java's can hold.
const epochsMax = 1000

// noEpoch is the last epoch of a log that has none.
const noEpoch = -1

// Last is the number of the last epoch, -1 if there is none.
func (s Epochs) Last() int32 {
	if len(s) == 0 {
		return noEpoch
	}
	return s[len(s)-1].Epoch
}

// end is where entry i ends in a log that ends at logEnd.
func (s Epochs) end(i int, logEnd message.PhyOffset) message.PhyOffset {
	if i+1 < len(s) {
		return min(s[i+1].Start, logEnd)
	}
	return logEnd
}

// at is the entry that the byte at an offset belongs to, and where it ends,
// which of the last one is beyond all logs.
func (s Epochs) at(off message.PhyOffset) (entry EpochEntry, end message.PhyOffset, ok bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].Start <= off {
			return s[i], s.end(i, math.MaxInt64), true
		}
	}
	return EpochEntry{}, 0, false
}

// cut leaves out the entries that begin at or behind an offset.
func (s Epochs) cut(off message.PhyOffset) Epochs {
	n := len(s)
	for n > 0 && s[n-1].Start >= off {
		n--
	}
	return s[:n:n]
}

// keep leaves out the entries that end at or before the first byte kept of the
// log, but for the last.
func (s Epochs) keep(first message.PhyOffset) Epochs {
	for len(s) > 1 && s[1].Start <= first {
		s = s[1:]
	}
	return s
}

// add returns the epochs with one more. One in which nothing was written makes
// room for it. Of too many the second oldest is left out: its bytes then count
// for the oldest, which makes common points of old logs lie earlier, never later.
func (s Epochs) add(e EpochEntry) (Epochs, error) {
	if e.Epoch < 0 || e.Start < 0 {
		return nil, fmt.Errorf("ha: epoch %d from offset %d cannot be", e.Epoch, e.Start)
	}
	s = s.cut(e.Start)
	if e.Epoch <= s.Last() {
		return nil, fmt.Errorf("ha: epoch %d cannot follow epoch %d", e.Epoch, s.Last())
	}
	s = append(slices.Clone(s), e)
	if len(s) > epochsMax {
		s = slices.Delete(s, 1, len(s)-epochsMax+1)
	}
	return s, nil
}

// check says why these cannot be a log's epochs.
func (s Epochs) check() error {
	for i, e := range s {
		switch {
		case e.Epoch < 0 || e.Start < 0:
			return fmt.Errorf("ha: epoch %d from offset %d cannot be", e.Epoch, e.Start)
		case i > 0 && (e.Epoch <= s[i-1].Epoch || e.Start <= s[i-1].Start):
			return fmt.Errorf("ha: epoch %d from offset %d cannot follow epoch %d from %d", e.Epoch, e.Start, s[i-1].Epoch, s[i-1].Start)
		}
	}
	if len(s) > epochsMax {
		return fmt.Errorf("ha: %d epochs are more than %d", len(s), epochsMax)
	}
	return nil
}

// common is the end of what two logs are known to have in common: of the last
// epoch that both have from the same offset on, the end that comes first.
func (s Epochs) common(end message.PhyOffset, other Epochs, otherEnd message.PhyOffset) (message.PhyOffset, bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if j := slices.Index(other, s[i]); j >= 0 {
			return min(s.end(i, end), other.end(j, otherEnd)), true
		}
	}
	return 0, false
}

// Fit leaves out the entries that begin behind the end of the log, which were
// noted before their first bytes came, or of which a crash took these.
func (s Epochs) Fit(end message.PhyOffset) Epochs { return s.cut(end + 1) }

// FencedError refuses a role that is given under an epoch which is not newer
// than what the log was written under.
type FencedError struct{ Epoch, Last int32 }

func (e *FencedError) Error() string {
	return fmt.Sprintf("epoch %d is not beyond epoch %d, which the broker knows already: whoever gave this role does not know of a later one", e.Epoch, e.Last)
}

// Reign begins a reign at the end of a log that begins at first. What an older
// log without epochs holds counts for the first one.
func (s Epochs) Reign(epoch int32, first, end message.PhyOffset) (Epochs, error) {
	s = s.Fit(end)
	if epoch <= s.Last() {
		return nil, &FencedError{Epoch: epoch, Last: s.Last()}
	}
	start := end
	if len(s) == 0 {
		start = max(first, 0)
	}
	return s.add(EpochEntry{Epoch: epoch, Start: start})
}
