package rocketlog.interop;

import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Request and reply: a consumer that answers each message, and a producer that waits for the answers. */
final class Rpc {
    private Rpc() {
    }

    static void reply(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = new DefaultMQProducer(args.need("group") + "_p");
        agent.locate(p);
        p.setInstanceName(args.id + "p");
        p.start();
        DefaultMQPushConsumer c = new DefaultMQPushConsumer(args.need("group"));
        agent.locate(c);
        c.setInstanceName(args.id);
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.setPollNameServerInterval(1000);
        c.subscribe(args.need("topic"), "*");
        c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt m : messages) {
                try {
                    byte[] answer = ("reply-to-" + Body.name(m.getBody()) + " ").getBytes(StandardCharsets.UTF_8);
                    p.send(MessageUtil.createReplyMessage(m, answer), 10_000);
                } catch (Exception e) {
                    new Event(args.id, "refused").put("name", Body.name(m.getBody())).put("error", Agent.describe(e)).print();
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        c.start();
        agent.keep(args.id, () -> {
            c.shutdown();
            p.shutdown();
        });
        new Event(args.id, "ready").print();
    }

    static void request(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = agent.find(args.need("producer"), Sender.class).producer;
        for (int n = 0; n < args.number("count", 0); n++) {
            String name = args.need("name") + "-" + n;
            Message reply = p.request(new Message(args.need("topic"), "", "", Body.make(name, 0)), 20_000);
            new Event(args.id, "got").put("name", Body.name(reply.getBody())).put("topic", reply.getTopic())
                .put("properties", reply.getProperties()).print();
        }
        new Event(args.id, "done").print();
    }
}
