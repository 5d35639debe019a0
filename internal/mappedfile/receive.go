package mappedfile

import (
	"cmp"
	"io"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Receive brings up to n bytes of r to the place of the next bytes, behind those of begun, all of which fit Remaining. take is told what is
// there then, unless nothing came, and returns how much of it is published; what is behind reads as zeros again. It returns how many bytes
// came from r: fewer than n with an error, or where the ring is small. ErrFull comes before anything is read.
//
// Without a ring the system writes them to the page cache itself and makes their pages: those that the allocator makes ahead are filled with
// zeros first and found to be written to again.
func (q *Queue) Receive(begun []byte, r io.Reader, n int, take func(landed []byte) (int, error)) (got int, err error) {
	if q.ring != nil {
		return q.receiveInRing(begun, r, n, take)
	}
	q.setReceiving(true)
	wrote := q.wrote.Load()
	at := wrote - q.tail.start
	end := at + int64(len(begun))
	_, err = q.tail.file.WriteAt(begun, at)
	if err == nil {
		var came int64
		came, err = vfs.Receive(q.tail.file, end, r, int64(n))
		got, end = int(came), end+came
	}
	taken, refused := offer(take, q.tailData[at:end:end], got)
	if taken > 0 {
		q.Advance(taken)
	}
	cleared := vfs.WriteZeros(q.tail.file, at+int64(taken), end-at-int64(taken))
	return got, cmp.Or(refused, cleared, err)
}

// receiveInRing is Receive where the next bytes go to the ring; of those that are not published nothing is seen there.
func (q *Queue) receiveInRing(begun []byte, r io.Reader, n int, take func(landed []byte) (int, error)) (got int, err error) {
	size := len(begun) + n
	if len(begun) < len(q.ring.buf) { // else it is refused
		size = min(size, len(q.ring.buf))
	}
	dst, err := q.Reserve(size)
	if err != nil {
		return 0, err
	}
	have := copy(dst, begun)
	got, err = io.ReadFull(r, dst[have:])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	taken, refused := offer(take, dst[:have+got], got)
	if taken > 0 {
		q.ring.shorten(q.wrote.Load(), dst, taken)
		q.Advance(taken)
	}
	return got, cmp.Or(refused, err)
}

// offer asks how much of what landed is published: nothing of it after an error, or where nothing came.
func offer(take func(landed []byte) (int, error), landed []byte, got int) (int, error) {
	if got == 0 {
		return 0, nil
	}
	taken, err := take(landed)
	if err != nil {
		return 0, err
	}
	return taken, nil
}

// setReceiving tells whether the next bytes come by Receive: then the allocator makes no pages ahead, and neither does the system, which takes
// those that were made for a file that is read in order, and fills the next ones with zeros whenever one of them is reached.
func (q *Queue) setReceiving(on bool) {
	if q.receiving == on {
		return
	}
	q.receiving = on
	q.attention = 0 // ask at the next advance
	q.alloc.setReceiving(on)
	q.adviseTail(on)
}

// adviseTail has the system read nothing ahead in the tail, or as ever. It is a hint.
func (q *Queue) adviseTail(receiving bool) {
	advice := vfs.Normal
	if receiving {
		advice = vfs.Random
	}
	_ = q.tail.mapping.Advise(0, int(q.tail.size), advice)
}
