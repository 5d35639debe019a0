package harness

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"
)

// Codes of the protocol.
const (
	codeRuntimeInfo = 28  // GET_BROKER_RUNTIME_INFO
	codeRoute       = 105 // GET_ROUTEINFO_BY_TOPIC
)

// probe says whether something listens.
func probe(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// routed asks the name server for the route of the topic that every broker
// with automatic topic creation has, and looks for the broker in the answer.
func routed(nameServer, broker string) error {
	answer, err := ask(nameServer, codeRoute, map[string]string{"topic": "TBW102"})
	if err != nil {
		return err
	}
	if !bytes.Contains(answer, []byte(broker)) {
		return fmt.Errorf("name server %s does not know broker %s", nameServer, broker)
	}
	return nil
}

// RuntimeInfo asks the broker for the figures that it tells of itself.
func (c *Cluster) RuntimeInfo() (map[string]string, error) {
	answer, err := ask(c.Broker(), codeRuntimeInfo, nil)
	if err != nil {
		return nil, err
	}
	var body struct {
		Table map[string]string `json:"table"`
	}
	return body.Table, json.Unmarshal(answer, &body)
}

// ask sends one request and returns the body of the answer. It speaks the
// protocol in its plainest form, by hand, and so depends on no client being
// right.
func ask(server string, code int, fields map[string]string) ([]byte, error) {
	header, err := json.Marshal(map[string]any{"code": code, "language": "OTHER", "version": 0, "opaque": 1, "flag": 0,
		"extFields": fields, "serializeTypeCurrentRPC": "JSON"})
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", server, time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(header)))
	if _, err := conn.Write(append(frame, header...)); err != nil {
		return nil, err
	}
	var sizes [8]byte // of the rest, and of the header in it, below a byte that says its form
	if _, err := io.ReadFull(conn, sizes[:]); err != nil {
		return nil, err
	}
	n, h := binary.BigEndian.Uint32(sizes[:]), binary.BigEndian.Uint32(sizes[4:])&0xffffff
	if n > 1<<20 || n < 4+h {
		return nil, fmt.Errorf("server %s answers with a frame of %d bytes and a header of %d", server, n, h)
	}
	answer := make([]byte, n-4)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, err
	}
	return answer[h:], nil
}
