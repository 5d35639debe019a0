package remoting_test

import (
	"context"
	"fmt"
	"net"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func Example() {
	server := remoting.NewServer(nil)
	server.Handle(protocol.GetMaxOffset, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
		var h protocol.GetMaxOffsetRequestHeader
		if err := h.Decode(&req.Fields); err != nil {
			return remoting.NewResponse(protocol.SystemError, err.Error())
		}
		resp := remoting.NewResponse(protocol.Success, "")
		answer := protocol.GetMaxOffsetResponseHeader{Offset: 42}
		answer.Encode(&resp.Fields)
		return resp
	}, remoting.Inline())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(ln)
	defer server.Close(context.Background())

	client := remoting.NewClient(nil)
	defer client.Close()
	req := remoting.NewRequest(protocol.GetMaxOffset)
	ask := protocol.GetMaxOffsetRequestHeader{Topic: "orders", QueueID: 3}
	ask.Encode(&req.Fields)
	resp, err := client.Call(context.Background(), ln.Addr().String(), req)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.ResponseCode(), resp.Fields.Text("offset"))
	// Output: SUCCESS 42
}

// A handler that answers later keeps the ticket of the request, which is small, and not the request.
func ExampleConn_ReplyTo() {
	server := remoting.NewServer(nil)
	server.Handle(protocol.PullMessage, func(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
		ticket := req.Ticket()
		go conn.ReplyTo(ticket, remoting.NewResponse(protocol.PullNotFound, "no message yet"))
		return nil
	}, remoting.Inline())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(ln)
	defer server.Close(context.Background())

	client := remoting.NewClient(nil)
	defer client.Close()
	resp, err := client.Call(context.Background(), ln.Addr().String(), remoting.NewRequest(protocol.PullMessage))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.ResponseCode(), resp.Remark)
	// Output: PULL_NOT_FOUND no message yet
}
