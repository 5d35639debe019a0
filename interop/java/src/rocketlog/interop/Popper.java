package rocketlog.interop;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.AckCallback;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PopCallback;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/** Pop consumption, which clients of 5.x know: single steps by the client's own calls, and its push consumer. */
public final class Popper {
    private static final long TIMEOUT = 60_000;

    private Popper() {
    }

    /** Does the command: it is named by its verb. */
    static void run(Agent agent, Args args) throws Exception {
        switch (args.verb) {
            case "pop":
                pop(agent, args);
                break;
            case "ack":
                ack(agent, args);
                break;
            case "postpone":
                postpone(agent, args);
                break;
            case "deadletter":
                deadLetter(agent, args);
                break;
            case "prioritytopic":
                priorityTopic(agent, args);
                break;
            case "poppush":
                push(agent, args);
                break;
            default:
                throw new IllegalArgumentException("unknown command " + args.verb);
        }
    }

    private static DefaultMQProducer producer(Agent agent, Args args) {
        return agent.find(args.need("producer"), Sender.class).producer;
    }

    private static MQClientAPIImpl api(DefaultMQProducer p) {
        return p.getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl();
    }

    private static String broker(DefaultMQProducer p, String topic) throws Exception {
        List<MessageQueue> queues = p.fetchPublishMessageQueues(topic);
        return queues.get(0).getBrokerName();
    }

    private static String address(DefaultMQProducer p, String broker) {
        MQClientInstance client = p.getDefaultMQProducerImpl().getMqClientFactory();
        return client.findBrokerAddressInPublish(broker);
    }

    private static void pop(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = producer(agent, args);
        PopMessageRequestHeader h = new PopMessageRequestHeader();
        h.setConsumerGroup(args.need("group"));
        h.setTopic(args.need("topic"));
        h.setQueueId(args.number("queue", -1));
        h.setMaxMsgNums(args.number("max", 32));
        h.setInvisibleTime(args.longNumber("invisible", 60_000));
        h.setPollTime(args.longNumber("poll", 0));
        h.setBornTime(System.currentTimeMillis());
        h.setInitMode(0);
        h.setExpType("TAG");
        h.setExp(args.text("tags", "*"));
        h.setOrder(args.flag("orderly"));
        h.setAttemptId(args.text("attempt", null));
        String broker = args.text("broker", null);
        if (broker == null) {
            broker = broker(p, h.getTopic());
        } else { // which may have moved
            p.getDefaultMQProducerImpl().getMqClientFactory().updateTopicRouteInfoFromNameServer(h.getTopic());
        }
        CompletableFuture<PopResult> answer = new CompletableFuture<>();
        api(p).popMessageAsync(broker, address(p, broker), h, TIMEOUT, new PopCallback() {
            @Override
            public void onSuccess(PopResult r) {
                answer.complete(r);
            }

            @Override
            public void onException(Throwable e) {
                answer.completeExceptionally(e);
            }
        });
        PopResult r = answer.get(TIMEOUT, TimeUnit.MILLISECONDS);
        if (r.getMsgFoundList() != null) {
            for (MessageExt m : r.getMsgFoundList()) {
                Map<String, String> properties = new HashMap<>(m.getProperties());
                Reader.describe(new Event(args.id, "got"), m).put("properties", properties).print();
            }
        }
        new Event(args.id, "done").put("status", r.getPopStatus().name()).print();
    }

    private static void finish(Args args, CompletableFuture<AckResult> answer) throws Exception {
        AckResult r = answer.get(TIMEOUT, TimeUnit.MILLISECONDS);
        Map<String, String> properties = new HashMap<>();
        if (r.getExtraInfo() != null) {
            properties.put(MessageConst.PROPERTY_POP_CK, r.getExtraInfo());
        }
        new Event(args.id, "done").put("status", r.getStatus().name()).put("properties", properties).print();
    }

    private static AckCallback callback(CompletableFuture<AckResult> answer) {
        return new AckCallback() {
            @Override
            public void onSuccess(AckResult r) {
                answer.complete(r);
            }

            @Override
            public void onException(Throwable e) {
                answer.completeExceptionally(e);
            }
        };
    }

    private static void ack(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = producer(agent, args);
        String[] receipt = ExtraInfoUtil.split(args.need("receipt"));
        AckMessageRequestHeader h = new AckMessageRequestHeader();
        h.setConsumerGroup(args.need("group"));
        h.setTopic(ExtraInfoUtil.getRealTopic(receipt, args.need("topic"), args.need("group")));
        h.setQueueId(ExtraInfoUtil.getQueueId(receipt));
        h.setOffset(ExtraInfoUtil.getQueueOffset(receipt));
        h.setExtraInfo(args.need("receipt"));
        CompletableFuture<AckResult> answer = new CompletableFuture<>();
        api(p).ackMessageAsync(address(p, ExtraInfoUtil.getBrokerName(receipt)), TIMEOUT, callback(answer), h);
        finish(args, answer);
    }

    private static void postpone(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = producer(agent, args);
        String[] receipt = ExtraInfoUtil.split(args.need("receipt"));
        ChangeInvisibleTimeRequestHeader h = new ChangeInvisibleTimeRequestHeader();
        h.setConsumerGroup(args.need("group"));
        h.setTopic(ExtraInfoUtil.getRealTopic(receipt, args.need("topic"), args.need("group")));
        h.setQueueId(ExtraInfoUtil.getQueueId(receipt));
        h.setOffset(ExtraInfoUtil.getQueueOffset(receipt));
        h.setExtraInfo(args.need("receipt"));
        h.setInvisibleTime(args.longNumber("invisible", 1000));
        CompletableFuture<AckResult> answer = new CompletableFuture<>();
        String broker = ExtraInfoUtil.getBrokerName(receipt);
        api(p).changeInvisibleTimeAsync(broker, address(p, broker), h, TIMEOUT, callback(answer));
        finish(args, answer);
    }

    /** Makes a topic whose queues are priorities. */
    private static void priorityTopic(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = producer(agent, args);
        TopicConfig topic = new TopicConfig(args.need("topic"), args.number("queues", 4), args.number("queues", 4));
        topic.setAttributes(new HashMap<>(Map.of("+message.type", "PRIORITY")));
        api(p).createTopic(address(p, broker(p, args.need("known"))), "TBW102", topic, TIMEOUT);
        new Event(args.id, "done").print();
    }

    /** Gives a popped message up, as a proxy does: it goes to the group's dead letters. */
    private static void deadLetter(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = producer(agent, args);
        String broker = broker(p, args.need("topic"));
        MessageExt m = new MessageExt();
        m.setTopic(args.need("topic"));
        m.setMsgId(args.need("msgId"));
        m.setCommitLogOffset(args.longNumber("phy", 0));
        api(p).consumerSendMessageBack(address(p, broker), broker, m, args.need("group"), -1, TIMEOUT, 16);
        new Event(args.id, "done").print();
    }

    /** A push consumer whose group is told by the broker to pop. */
    private static void push(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = producer(agent, args);
        String topic = args.need("topic");
        String group = args.need("group");
        api(p).setMessageRequestMode(address(p, broker(p, topic)), topic, group, MessageRequestMode.POP,
            args.number("share", 0), TIMEOUT);
        DefaultMQPushConsumer c = new DefaultMQPushConsumer(group);
        agent.locate(c);
        c.setInstanceName(args.id);
        c.setClientRebalance(false);
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.setPopInvisibleTime(args.longNumber("invisible", 60_000));
        c.setPollNameServerInterval(1000);
        c.setAwaitTerminationMillisWhenShutdown(5000);
        c.subscribe(topic, args.text("tags", "*"));
        boolean failOnce = "once".equals(args.text("fail", "never"));
        c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            Consumers.got(args.id, messages, 0);
            return failOnce && messages.get(0).getReconsumeTimes() == 0
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
        agent.keep(args.id, c::shutdown);
        new Event(args.id, "ready").print();
    }
}
