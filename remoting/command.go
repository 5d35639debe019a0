package remoting

import (
	"sync"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// SerializeType is how the header of a frame is encoded.
type SerializeType byte

// The serialize types.
const (
	SerializeJSON     SerializeType = 0
	SerializeRocketMQ SerializeType = 1
)

// The bits of Command.Flag.
const (
	flagResponse = 1 << 0
	flagOneway   = 1 << 1
)

// Command is one request or response (Java's RemotingCommand).
//
// Received: Fields and Body alias the buffer that the frame was read into. They are valid until the handler returns;
// who keeps the command longer, or gives it to another goroutine, takes a [Command.Clone].
//
// To send: the command belongs to the connection from the moment it is returned from a handler or given to Reply, Request
// or Oneway, and its Segments until Release is called.
type Command struct {
	Code      int32 // a protocol.RequestCode, in a response a protocol.ResponseCode
	Language  protocol.Language
	Version   int32 // an ordinal of Java's MQVersion
	Opaque    int32 // copied from request to response; unique among a connection's requests in one direction
	Flag      int32
	Remark    string
	Fields    Fields
	Serialize SerializeType
	Body      []byte

	// Segments follow Body on the wire, straight from where they are. Only for commands to send.
	Segments [][]byte
	// Release, when not nil, is called exactly once, when the Segments are written or never will be.
	Release func()

	owned  []byte // the bytes of a clone
	pooled bool   // came from the pool, goes back to it
}

var commands = sync.Pool{New: func() any { return new(Command) }}

// maxPooled is the largest buffer that a command may take back into the pool.
const maxPooled = 64 << 10

// NewRequest returns an empty request with our language and version.
func NewRequest(code protocol.RequestCode) *Command {
	return &Command{Code: int32(code), Language: protocol.LanguageGo, Version: protocol.CurrentVersion}
}

// NewResponse returns an empty response with our language and version. It comes from a pool, and returns there when it is
// sent: it must not be touched after it is returned from a handler or given to Reply.
func NewResponse(code protocol.ResponseCode, remark string) *Command {
	c := commands.Get().(*Command)
	c.pooled = true
	c.Code = int32(code)
	c.Language = protocol.LanguageGo
	c.Version = protocol.CurrentVersion
	c.Flag = flagResponse
	c.Remark = remark
	return c
}

// noReply is what a handler returns when nothing is to be sent.
var noReply = new(Command)

// NoReply is returned by a handler for a request that will never be answered. A handler that answers later with
// [Conn.Reply] returns nil instead: the request then counts as in flight until it is answered.
func NoReply() *Command { return noReply }

// recycle gives a command of the pool back.
func (c *Command) recycle() {
	if !c.pooled {
		return
	}
	fields, owned := c.Fields, c.owned
	invariants.Mangle(owned)
	fields.Reset()
	if cap(fields.buf) > maxPooled {
		fields.buf = nil
	}
	if cap(owned) > maxPooled {
		owned = nil
	}
	*c = Command{Fields: fields, owned: owned[:0]}
	commands.Put(c)
}

// IsResponse says whether the command answers a request.
func (c *Command) IsResponse() bool { return c.Flag&flagResponse != 0 }

// IsOneway says whether the sender of the request wants no answer.
func (c *Command) IsOneway() bool { return c.Flag&flagOneway != 0 }

// RequestCode is the code of a request.
func (c *Command) RequestCode() protocol.RequestCode { return protocol.RequestCode(c.Code) }

// ResponseCode is the code of a response.
func (c *Command) ResponseCode() protocol.ResponseCode { return protocol.ResponseCode(c.Code) }

// Clone returns a copy that owns its bytes: one buffer holds them all. Segments are copied behind the body.
func (c *Command) Clone() *Command {
	d := new(Command)
	c.cloneTo(d)
	return d
}

// cloneTo makes d, which may have buffers from earlier use, an owner of c's content.
func (c *Command) cloneTo(d *Command) {
	body := c.bodyLen()
	need := c.Fields.size() + body
	buf := d.owned[:0]
	if cap(buf) < need {
		buf = make([]byte, 0, need)
	}
	d.Code, d.Language, d.Version, d.Opaque, d.Flag = c.Code, c.Language, c.Version, c.Opaque, c.Flag
	d.Remark, d.Serialize = c.Remark, c.Serialize
	d.Fields.Reset()
	for i := range c.Fields.list {
		e := &c.Fields.list[i]
		at, mid := len(buf), len(buf)+len(e.name)
		buf = append(append(buf, e.name...), e.value...)
		d.Fields.list = append(d.Fields.list, field{buf[at:mid:mid], buf[mid:len(buf):len(buf)]})
	}
	at := len(buf)
	buf = append(buf, c.Body...)
	for _, s := range c.Segments {
		buf = append(buf, s...)
	}
	d.owned = buf
	d.Body = buf[at:len(buf):len(buf)]
	if body == 0 {
		d.Body = nil
	}
}

// bodyLen is the number of bytes of body and segments.
func (c *Command) bodyLen() int {
	n := len(c.Body)
	for _, s := range c.Segments {
		n += len(s)
	}
	return n
}

// release tells the owner of the segments that they are no longer needed.
func (c *Command) release() {
	if c.Release != nil {
		release := c.Release
		c.Release, c.Segments = nil, nil
		release()
	}
}

// Ticket is what is needed to answer a request later: cheap to keep while the request itself is gone.
type Ticket struct {
	Opaque    int32
	Code      int32 // of the request
	Version   int32 // of the requester
	Serialize SerializeType
	Oneway    bool
}

// Ticket returns the ticket to answer the request with.
func (c *Command) Ticket() Ticket {
	return Ticket{Opaque: c.Opaque, Code: c.Code, Version: c.Version, Serialize: c.Serialize, Oneway: c.IsOneway()}
}
