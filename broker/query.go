package broker

import (
	"bytes"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// uniqueKeyQuery marks a query by unique key in the fields of a request.
const uniqueKeyQuery = "_UNIQUE_KEY_QUERY"

// indexTypeTag is the index type of tags in a query of 5.5. Keys and unique keys lie together, so that their types, K and
// U, need no telling apart.
const indexTypeTag = "T"

// queryBytesMax bounds what one query answers with.
const queryBytesMax = 8 << 20

// queryMessage finds messages by key. As Java's, it answers with what the index has, and leaves it to the client to pass
// over messages whose keys only hash alike.
func (b *Broker) queryMessage(c *call) error {
	var h protocol.QueryMessageRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	o := b.options()
	most := min(int(h.MaxNum), o.MaxMsgsNumBatch)
	if c.req.Fields.Bool(uniqueKeyQuery) {
		most = o.DefaultQueryMaxNum
	}
	query := b.store.QueryByKey
	if h.IndexType == indexTypeTag && !c.req.Fields.Bool(uniqueKeyQuery) {
		query = b.store.QueryByTag
	}
	r, err := query(h.Topic, h.Key, most, h.BeginTimestamp, h.EndTimestamp)
	if err != nil {
		return err
	}
	(&protocol.QueryMessageResponseHeader{
		IndexLastUpdateTimestamp: r.IndexTime, IndexLastUpdatePhyoffset: int64(r.IndexOffset),
	}).Encode(&c.resp.Fields)
	var body []byte
	for _, offset := range r.Offsets {
		ref, err := b.store.RecordAt(offset)
		if err != nil {
			continue // deleted, or an entry of the index that points to nothing
		}
		body = append(body, ref.Record()...)
		ref.Release()
		if len(body) > queryBytesMax {
			break
		}
	}
	if len(body) == 0 {
		return refuse(protocol.QueryNotFound, "can not find message, maybe time range not correct")
	}
	c.resp.Body = body
	return nil
}

// viewMessage answers with the record at a place of the log, which is what an offset message id names.
func (b *Broker) viewMessage(c *call) error {
	var h protocol.ViewMessageRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	ref, err := b.store.RecordAt(message.PhyOffset(h.Offset))
	if err != nil {
		return refuse(protocol.SystemError, "can not find message by the offset, %d", h.Offset)
	}
	defer ref.Release()
	c.resp.Body = bytes.Clone(ref.Record())
	return nil
}
