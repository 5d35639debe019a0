// Package nullserver serves sends without storing them: each frame and header is decoded and answered
// as the broker would. What it reaches is what the wire alone costs; a broker can only come near it.
// It also follows masters as a slave that keeps nothing.
//
// Concurrency: each connection has its own goroutine, and an offset that all share.
package nullserver

import (
	"net"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Serve serves until the listener fails.
func Serve(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	var offset atomic.Int64
	server := remoting.NewServer(nil)
	server.Handle(protocol.SendMessageV2, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
		var header protocol.SendMessageRequestHeader
		if err := header.DecodeV2(&req.Fields); err != nil {
			return remoting.NewResponse(protocol.SystemError, err.Error())
		}
		answer := remoting.NewResponse(protocol.Success, "")
		id := []byte("7F00000100002A9F0000000000000000")
		stored := protocol.SendMessageResponseHeader{MsgID: id, QueueID: header.QueueID, QueueOffset: offset.Add(1)}
		stored.Encode(&answer.Fields)
		return answer
	}, remoting.Inline())
	return server.Serve(listener)
}
