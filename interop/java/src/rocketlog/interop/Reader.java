package rocketlog.interop;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Looks at what is stored without a group's help: whole topics, keys, ids, offsets. */
final class Reader {
    private Reader() {
    }

    static Event describe(Event e, MessageExt m) {
        String offsetId = m instanceof MessageClientExt ? ((MessageClientExt) m).getOffsetMsgId() : m.getMsgId();
        return e.put("name", Body.name(m.getBody())).put("topic", m.getTopic()).put("queue", m.getQueueId())
            .put("offset", m.getQueueOffset()).put("msgId", m.getMsgId()).put("offsetMsgId", offsetId)
            .put("tags", m.getTags()).put("keys", m.getKeys()).put("reconsume", m.getReconsumeTimes())
            .put("crc", Body.crc(m.getBody())).put("phy", m.getCommitLogOffset())
            .put("born", m.getBornTimestamp()).put("store", m.getStoreTimestamp()).put("sysFlag", m.getSysFlag());
    }

    /** Reads a topic from the first to the last offset of each queue, with all properties. */
    static void dump(Agent agent, Args args) throws Exception {
        DefaultMQPullConsumer c = new DefaultMQPullConsumer(args.text("group", "interop_dump"));
        agent.locate(c);
        c.setInstanceName(args.id);
        c.start();
        try {
            for (MessageQueue mq : queues(c, args.need("topic"))) {
                long min = c.minOffset(mq);
                long max = c.maxOffset(mq);
                new Event(args.id, "queue").put("topic", mq.getTopic()).put("queue", mq.getQueueId())
                    .put("offset", min).put("max", max).print();
                for (long at = min; at < max; ) {
                    PullResult r = c.pull(mq, "*", at, 32);
                    if (r.getMsgFoundList() != null) {
                        for (MessageExt m : r.getMsgFoundList()) {
                            describe(new Event(args.id, "found"), m).put("properties", m.getProperties()).print();
                        }
                    }
                    if (r.getNextBeginOffset() <= at) {
                        throw new IllegalStateException(mq + " stands still at " + at + ": " + r.getPullStatus());
                    }
                    at = r.getNextBeginOffset();
                }
            }
        } finally {
            c.shutdown();
        }
        new Event(args.id, "done").print();
    }

    /** Reads a light queue from where the group is, or from its begin, and commits where it ends if that is asked for. */
    static void light(Agent agent, Args args) throws Exception {
        DefaultMQPullConsumer c = new DefaultMQPullConsumer(args.need("group"));
        agent.locate(c);
        c.setInstanceName(args.id);
        c.start();
        try {
            // The name servers do not know it: it is at the broker of its messages' topic.
            MessageQueue parent = queues(c, args.need("topic")).get(0);
            c.pull(parent, "*", 0, 1); // so that the client knows where the broker is
            MessageQueue mq = new MessageQueue(args.need("light"), parent.getBrokerName(), 0);
            long at = args.flag("commit") ? Math.max(c.fetchConsumeOffset(mq, true), 0) : 0;
            for (PullResult r = c.pull(mq, args.text("tags", "*"), at, 32); r.getNextBeginOffset() > at;
                r = c.pull(mq, args.text("tags", "*"), at, 32)) {
                if (r.getMsgFoundList() != null) {
                    for (MessageExt m : r.getMsgFoundList()) {
                        describe(new Event(args.id, "found"), m).put("properties", m.getProperties()).print();
                    }
                }
                at = r.getNextBeginOffset();
            }
            if (args.flag("commit")) {
                c.getOffsetStore().updateConsumeOffsetToBroker(mq, at, false);
            }
            new Event(args.id, "end").put("offset", at).put("max", c.maxOffset(mq)).print();
        } finally {
            c.shutdown();
        }
        new Event(args.id, "done").print();
    }

    private static List<MessageQueue> queues(DefaultMQPullConsumer c, String topic) throws MQClientException {
        List<MessageQueue> queues = new ArrayList<>(c.fetchSubscribeMessageQueues(topic));
        queues.sort(Comparator.comparingInt(MessageQueue::getQueueId));
        return queues;
    }

    static void query(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = agent.find(args.need("producer"), Sender.class).producer;
        try {
            for (MessageExt m : p.queryMessage(args.need("topic"), args.need("key"), args.number("max", 64),
                args.longNumber("begin", 0), args.longNumber("end", System.currentTimeMillis() + 60_000)).getMessageList()) {
                describe(new Event(args.id, "found"), m).print();
            }
        } catch (MQClientException e) {
            // The client says "no such message" by an exception without a code of the broker.
            new Event(args.id, "none").put("error", Agent.describe(e)).print();
        }
        new Event(args.id, "done").print();
    }

    /** By offset message id, or by unique key: the client tells them apart. */
    static void view(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = agent.find(args.need("producer"), Sender.class).producer;
        MessageExt m = p.viewMessage(args.need("topic"), args.need("msgId"));
        if (m != null) {
            describe(new Event(args.id, "found"), m).print();
        }
        new Event(args.id, "done").print();
    }

    static void offsets(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = agent.find(args.need("producer"), Sender.class).producer;
        for (MessageQueue mq : p.fetchPublishMessageQueues(args.need("topic"))) {
            long max = p.maxOffset(mq);
            long min = p.minOffset(mq);
            new Event(args.id, "queue").put("topic", mq.getTopic()).put("queue", mq.getQueueId())
                .put("offset", min).put("max", max)
                .put("at", p.searchOffset(mq, args.longNumber("time", 0)))
                .put("earliest", max > min ? p.earliestMsgStoreTime(mq) : 0).print();
        }
        new Event(args.id, "done").print();
    }
}
