package nullserver

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	followBuffer = 1 << 20
	dialEvery    = 10 * time.Millisecond
	dialTimeout  = 10 * time.Second
)

// Follow is a slave that keeps nothing: it reads the log that a master sends, and reports it as its own, until the master is gone.
// What a master with it does less than one alone is what replication costs the master, be the slave's own work elsewhere.
//
// It speaks Java's classic protocol (see package ha): reports are the end of its log, frames the place and size of a body before it.
func Follow(addr string) error {
	conn, err := dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	report := func(end uint64) error {
		_, err := conn.Write(binary.BigEndian.AppendUint64(nil, end))
		return err
	}
	if err := report(0); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, followBuffer)
	var header [12]byte
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return err
		}
		at, size := binary.BigEndian.Uint64(header[:]), int(binary.BigEndian.Uint32(header[8:]))
		if _, err := in.Discard(size); err != nil {
			return fmt.Errorf("a body of %d bytes: %w", size, err)
		}
		if size > 0 && in.Buffered() == 0 { // once for all that has come
			if err := report(at + uint64(size)); err != nil {
				return err
			}
		}
	}
}

// dial connects to a master that may not be there yet.
func dial(addr string) (conn net.Conn, err error) {
	for begin := time.Now(); time.Since(begin) < dialTimeout; time.Sleep(dialEvery) {
		if conn, err = net.Dial("tcp", addr); err == nil {
			return conn, nil
		}
	}
	return nil, err
}
