package broker

import (
	"fmt"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// refused answers a send that did not reach the store.
func (s *sender) refused(err error) *remoting.Command {
	s.b.stats.Refused.Add(1)
	s.b.stats.Refuse(refusalCause(err))
	c := call{resp: remoting.NewResponse(protocol.Success, "")}
	c.fail(err)
	s.addTrace(c.resp)
	return c.resp
}

// addTrace adds the fields that every answer to a send has, also a refusal.
func (s *sender) addTrace(resp *remoting.Command) {
	resp.Fields.AddBytes(message.PropertyRegion, s.region)
	resp.Fields.AddBool(message.PropertyTraceOn, s.traceOn)
}

// describeTopic is a topic's configuration as Java's refusals print it.
func describeTopic(c *protocol.TopicConfig) string {
	return fmt.Sprintf("TopicConfig [topicName=%s, readQueueNums=%d, writeQueueNums=%d, perm=%s, topicFilterType=%s, topicSysFlag=%d, order=%t, attributes=%v]",
		c.TopicName, c.ReadQueueNums, c.WriteQueueNums, describePerm(c.Perm), c.TopicFilterType, c.TopicSysFlag, c.Order, c.Attributes)
}

func describePerm(perm int32) string {
	text := []byte("---")
	for i, bit := range []int32{metadata.PermRead, metadata.PermWrite, metadata.PermInherit} {
		if perm&bit != 0 {
			text[i] = "RWX"[i]
		}
	}
	return string(text)
}

// messageIDs are the offset ids of what was stored, with commas between.
func (d *sending) messageIDs(r engine.PutResult) []byte {
	ids := d.ids[:0]
	if len(d.offsets) == 0 {
		ids = d.s.appendID(ids, r.PhyOffset)
	}
	for i, offset := range d.offsets {
		if i > 0 {
			ids = append(ids, ',')
		}
		ids = d.s.appendID(ids, offset)
	}
	d.ids = ids
	return ids
}

func (s *sender) appendID(dst []byte, offset message.PhyOffset) []byte {
	const digits = "0123456789ABCDEF"
	dst = append(dst, s.idPrefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[uint64(offset)>>shift&15])
	}
	return dst
}

// putAnswer is the answer to a put: its code, and what went wrong in words.
func (s *sender) putAnswer(r engine.PutResult) *remoting.Command {
	code := putCode(r.Status)
	if r.Status == engine.PutOK {
		return remoting.NewResponse(code, "")
	}
	return remoting.NewResponse(code, putRemark(r, s.b.options()))
}

func putCode(status engine.PutStatus) protocol.ResponseCode {
	switch status {
	case engine.PutOK:
		return protocol.Success
	case engine.FlushDiskTimeout:
		return protocol.FlushDiskTimeout
	case engine.FlushSlaveTimeout:
		return protocol.FlushSlaveTimeout
	case engine.SlaveNotAvailable:
		return protocol.SlaveNotAvailable
	case engine.ServiceNotAvailable:
		return protocol.ServiceNotAvailable
	case engine.MessageIllegal, engine.PropertiesSizeExceeded:
		return protocol.MessageIllegal
	case engine.OSPageCacheBusy:
		return protocol.SystemBusy
	default:
		return protocol.SystemError
	}
}

// putRemark says why a put failed: what Java says, which people search for, and our cause with its numbers.
func putRemark(r engine.PutResult, o *Options) string {
	said := map[engine.PutStatus]string{
		engine.FlushDiskTimeout:       "the message is stored, but its sync to disk takes longer than syncFlushTimeout",
		engine.FlushSlaveTimeout:      "the message is stored, but no slave has it yet",
		engine.SlaveNotAvailable:      "the message is stored, but no slave is there",
		engine.ServiceNotAvailable:    "service not available now",
		engine.CreateMappedFileFailed: "create mapped file failed, server is busy or broken.",
		engine.OSPageCacheBusy:        "[PC_SYNCHRONIZED]broker busy, start flow control for a while",
		engine.PutToRemoteBrokerFail:  "no other broker takes the message",
	}[r.Status]
	switch r.Status {
	case engine.MessageIllegal, engine.PropertiesSizeExceeded:
		said = fmt.Sprintf("the message is illegal, maybe msg body or properties length not matched. msg body length limit %dB, msg properties length limit 32KB.",
			o.MaxMessageSize)
	case engine.UnknownError:
		said = "UNKNOWN_ERROR"
	case engine.LMQConsumeQueueNumExceeded:
		said = fmt.Sprintf("[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]broker config enableLmq and enableMultiDispatch, lmq consumeQueue num exceed maxLmqConsumeQueueNum config num, default limit 2w. It is %d here",
			o.MaxLmqConsumeQueueNum)
	case engine.InSyncReplicasNotEnough:
		said = "IN_SYNC_REPLICAS_NOT_ENOUGH"
	}
	if r.Err != nil {
		said += ": " + r.Err.Error()
	}
	return said
}
