package rocketlog.quickstart;

import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** A first producer, as one would write it from RocketMQ's documentation: nothing set that need not be set. */
public class Producer {
    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("quickstart_producer");
        producer.setNamesrvAddr(args[0]);
        producer.start();
        for (int i = 0; i < Integer.parseInt(args[2]); i++) {
            Message message = new Message(args[1], "TagA", ("Hello RocketMQ " + i).getBytes("UTF-8"));
            SendResult result = producer.send(message);
            System.out.printf("sent %d %s %s%n", i, result.getSendStatus(), result.getMsgId());
        }
        producer.shutdown();
    }
}
