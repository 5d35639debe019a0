package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

var host = netip.MustParseAddrPort("127.0.0.1:10911")

// node is a broker as far as its log goes. It is a ha.Log.
type node struct {
	fs       *vfs.CrashFS
	log      *commitlog.CommitLog
	fileSize int64
	sync     bool // SYNC_FLUSH
	// quiet returns when the making of the next log file has come to rest. It is
	// called after each change of the log: what is written while that works may
	// be captured for a crash at one moment or another.
	quiet func()
}

// open opens what is on the node's disk, as after a start.
func (n *node) open() error {
	var err error
	n.log, err = commitlog.Open(n.fs, "log", &commitlog.Options{
		FileSize: n.fileSize, SyncFlush: n.sync, MaxMessageSize: int(n.fileSize / 4), PreheatMax: -1,
		FlushInterval: time.Hour, SyncTimeout: time.Hour,
	})
	if err != nil {
		return err
	}
	_, err = n.log.Recover(n.log.MinOffset(), commitlog.Own, true, func(message.PhyOffset, message.Record) error { return nil })
	n.quiet()
	if err == nil && n.sync {
		err = n.Flush()
	}
	return err
}

// crash is a power loss, or the end of the process alone.
func (n *node) crash(power bool, seed uint64) error {
	next := n.fs.Kill()
	if power {
		next = n.fs.Crash(seed)
	}
	_ = n.log.Close() // into the void
	n.fs.Discard()
	n.fs = next
	return n.open()
}

func (n *node) close() {
	_ = n.log.Close() // nobody reads it any more
	n.fs.Discard()
}

func (n *node) MinPhyOffset() message.PhyOffset  { return n.log.MinOffset() }
func (n *node) MaxPhyOffset() message.PhyOffset  { return n.log.MaxOffset() }
func (n *node) ConfirmOffset() message.PhyOffset { return n.log.ConfirmOffset() }

func (n *node) Flush() error {
	defer n.quiet()
	return n.log.Flush()
}

// put appends a message of random bytes, as a master's clients do. It returns its
// place and its bytes.
func (n *node) put(rng *rand.Rand, bodyMax int, seq *commitlog.Sequence) (message.PhyOffset, []byte, error) {
	defer n.quiet()
	m := &message.Message{Topic: "T", Body: make([]byte, 1+rng.IntN(bodyMax)), BornHost: host, StoreHost: host}
	for i := range m.Body {
		m.Body[i] = byte(rng.Uint32())
	}
	res, err := n.log.Append(m, seq)
	if err != nil {
		return 0, nil, err
	}
	raw := make([]byte, res.End-res.PhyOffset)
	message.EncodeRecord(raw, m, message.BodyCRC(m.Body))
	return res.PhyOffset, raw, nil
}

// frames is what a master sends of its log where it is to do so: frames whose bodies
// arrive in pieces. It returns how many bytes that is as well.
func (n *node) frames(rng *rand.Rand, do *ha.Effect) (frames []ha.Input, total int, err error) {
	at := do.Offset
	for first := true; first || total < do.Size; first = false {
		raw, release, err := n.ReadRaw(at, min(do.Size-total, do.Frame))
		if err != nil {
			return nil, 0, err
		}
		if len(raw) == 0 && !first {
			break
		}
		frames = append(frames, ha.Input{Kind: ha.Framed, Offset: at, Size: len(raw), Epoch: do.Epoch, Confirm: do.Confirm})
		for rest := slices.Clone(raw); len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			frames = append(frames, ha.Input{Kind: ha.Arrived, Offset: at, Raw: rest[:n]})
			at, total, rest = at+message.PhyOffset(n), total+n, rest[n:]
		}
		if release != nil {
			release()
		}
	}
	return frames, total, nil
}

func (n *node) ReadRaw(at message.PhyOffset, most int) ([]byte, func(), error) {
	limit := n.ConfirmOffset()
	if at >= limit {
		return nil, nil, nil
	}
	ref, ok, err := n.log.Read(at)
	if err != nil || !ok {
		return nil, nil, fmt.Errorf("nothing at %d: %w", at, err)
	}
	raw := ref.Bytes()
	return raw[:min(len(raw), most, int(limit-at))], ref.Release, nil
}

func (n *node) AppendRaw(at message.PhyOffset, raw []byte) error {
	defer n.quiet()
	if err := n.beginAt(at); err != nil {
		return err
	}
	return n.log.AppendRaw(at, raw)
}

// Receive implements ha.Log.
func (n *node) Receive(at message.PhyOffset, begun []byte, r io.Reader, size int, take func([]byte) (int, error)) (int, error) {
	defer n.quiet()
	if err := n.beginAt(at); err != nil {
		return 0, err
	}
	return n.log.Receive(at, begun, r, size, take)
}

// inPlace has what arrived come to a slave as large bodies do: whole sectors of the log land, what comes before and behind them is applied, as
// long as the connection is alive.
func inPlace(in ha.Input, alive func() bool, apply func(ha.Input), land func(sectors []byte)) {
	cut := func(n int) (piece ha.Input) {
		piece = in
		piece.Raw = in.Raw[:n]
		in.Raw, in.Offset = in.Raw[n:], in.Offset+message.PhyOffset(n)
		return piece
	}
	if before := cut(min(len(in.Raw), int(-in.Offset&(vfs.SectorSize-1)))); len(before.Raw) > 0 {
		apply(before)
	}
	if sectors := cut(len(in.Raw) / vfs.SectorSize * vfs.SectorSize); len(sectors.Raw) > 0 && alive() {
		land(sectors.Raw)
	}
	if len(in.Raw) > 0 && alive() {
		apply(in)
	}
}

// land has whole sectors of a body come to their place in the log at once, as slaves have it with large ones, and returns how many bytes of whole
// records that were, or why the copier wants to end the connection.
func (n *node) land(copier *ha.Copier, now time.Time, piece []byte) (whole int, refused, err error) {
	at, begun := copier.Begun()
	got, err := n.Receive(at, begun, bytes.NewReader(piece), len(piece), func(landed []byte) (int, error) {
		in := ha.Input{Kind: ha.Landed, Now: now, Begin: n.MinPhyOffset(), End: n.MaxPhyOffset(), Raw: landed}
		for _, do := range copier.Step(in, nil) {
			switch do.Kind {
			case ha.DoExtend:
				whole = do.Size
			case ha.DoClose:
				refused = do.Err
			}
		}
		return whole, refused
	})
	if refused != nil {
		return 0, refused, nil
	}
	if err == nil && got < len(piece) {
		err = fmt.Errorf("of %d bytes %d were received", len(piece), got)
	}
	return whole, nil, err
}

// beginAt makes an empty log begin at an offset.
func (n *node) beginAt(at message.PhyOffset) error {
	if at > 0 && n.log.MaxOffset() == 0 {
		return n.log.Reset(at)
	}
	return nil
}

// Truncate implements ha.Log.
func (n *node) Truncate(end message.PhyOffset) error {
	defer n.quiet()
	return n.log.Cut(end)
}

// Confirm implements ha.Log.
func (n *node) Confirm(message.PhyOffset) {}

// bytes copies the log from at, as much of it as there is up to end.
func (n *node) bytes(at, end message.PhyOffset) ([]byte, error) {
	var all []byte
	for at < end {
		raw, release, err := n.ReadRaw(at, int(end-at))
		if err != nil || len(raw) == 0 {
			return all, err
		}
		all = append(all, raw...)
		at += message.PhyOffset(len(raw))
		release()
	}
	return all, nil
}

// differ says where the slave's log is not the master's, from at to the slave's
// end.
func differ(master, slave *node, at message.PhyOffset) error {
	at, end := max(at, slave.MinPhyOffset(), master.MinPhyOffset()), slave.ConfirmOffset()
	have, err := slave.bytes(at, end)
	if err != nil {
		return err
	}
	want, err := master.bytes(at, end)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("the slave's log up to %d is no prefix of its master's, which ends at %d", end, master.ConfirmOffset())
	}
	return nil
}

// holds tells whether the log has the bytes at that place.
func (n *node) holds(at message.PhyOffset, want []byte) bool {
	have, err := n.bytes(at, at+message.PhyOffset(len(want)))
	return err == nil && bytes.Equal(have, want)
}

// blank tells whether the log has nothing but the blank at the end of a file from at to end.
func (n *node) blank(at, end message.PhyOffset) bool {
	raw, err := n.bytes(at, end)
	if err != nil {
		return false
	}
	_, err = message.ParseRecord(raw)
	return errors.Is(err, message.ErrBlank) && n.log.NextFile(at) == end
}
