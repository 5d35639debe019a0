package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Route asks a name server for the route of the topic from which others are made, which exists once a
// broker has registered: a client that asks then can send.
func Route(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	const codeRoute = 105
	if _, err := c.Write(encode(codeRoute, []field{{"topic", "TBW102"}}, nil)); err != nil {
		return err
	}
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size < 4 || size > readBufferSize {
		return fmt.Errorf("frame of %d bytes", size)
	}
	frame := make([]byte, 4+size)
	if _, err := io.ReadFull(c, frame[4:]); err != nil {
		return err
	}
	a, err := parseAnswer(frame)
	if err != nil {
		return err
	}
	if a.code != codeSuccess {
		return errors.New("route: " + a.describe())
	}
	return nil
}
