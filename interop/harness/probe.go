package harness

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// codeRoute is GET_ROUTEINFO_BY_TOPIC.
const codeRoute = 105

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
// It speaks the protocol in its plainest form, by hand, and so depends on no
// client being right.
func routed(nameServer, broker string) error {
	header, err := json.Marshal(map[string]any{"code": codeRoute, "language": "OTHER", "version": 0, "opaque": 1, "flag": 0,
		"extFields": map[string]string{"topic": "TBW102"}, "serializeTypeCurrentRPC": "JSON"})
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", nameServer, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(header)))
	if _, err := conn.Write(append(frame, header...)); err != nil {
		return err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 1<<20 {
		return fmt.Errorf("name server %s answers with a frame of %d bytes", nameServer, n)
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if !strings.Contains(string(answer), broker) {
		return fmt.Errorf("name server %s does not know broker %s", nameServer, broker)
	}
	return nil
}
