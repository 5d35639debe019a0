package harness

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Codes of the protocol.
const (
	codeRuntimeInfo = 28  // GET_BROKER_RUNTIME_INFO
	codeMaxOffset   = 30  // GET_MAX_OFFSET
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

// MaxOffset asks a broker, slave or not, where a queue ends.
func MaxOffset(broker, topic string, queue int) (int64, error) {
	fields, _, err := call(broker, codeMaxOffset, map[string]string{"topic": topic, "queueId": fmt.Sprint(queue)})
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(fields["offset"], 10, 64)
}

// ask sends one request and returns the body of the answer.
func ask(server string, code int, fields map[string]string) ([]byte, error) {
	_, body, err := call(server, code, fields)
	return body, err
}

// call sends one request and returns the answer. It speaks the protocol in
// its plainest form, by hand, and so depends on no client being right.
func call(server string, code int, fields map[string]string) (answered map[string]string, body []byte, err error) {
	header, err := json.Marshal(map[string]any{"code": code, "language": "OTHER", "version": 0, "opaque": 1, "flag": 0,
		"extFields": fields, "serializeTypeCurrentRPC": "JSON"})
	if err != nil {
		return nil, nil, err
	}
	conn, err := net.DialTimeout("tcp", server, time.Second)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(header)))
	if _, err := conn.Write(append(frame, header...)); err != nil {
		return nil, nil, err
	}
	var sizes [8]byte // of the rest, and of the header in it, below a byte that says its form
	if _, err := io.ReadFull(conn, sizes[:]); err != nil {
		return nil, nil, err
	}
	n, h := binary.BigEndian.Uint32(sizes[:]), binary.BigEndian.Uint32(sizes[4:])&0xffffff
	if n > 1<<20 || n < 4+h {
		return nil, nil, fmt.Errorf("server %s answers with a frame of %d bytes and a header of %d", server, n, h)
	}
	answer := make([]byte, n-4)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, nil, err
	}
	var head struct {
		ExtFields map[string]string `json:"extFields"`
	}
	if err := json.Unmarshal(answer[:h], &head); err != nil {
		return nil, nil, fmt.Errorf("server %s answers with a header that cannot be read: %w", server, err)
	}
	return head.ExtFields, answer[h:], nil
}
