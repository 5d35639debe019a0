package rocketlog.interop;

import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A producer of transactions. What becomes of a message follows from its number: of five in a row the first is committed
 * at once, the second rolled back; the others are left open, and when the broker asks, the third is committed, the fourth
 * rolled back, and the fifth committed when it asks again.
 */
final class Transactions implements TransactionListener {
    private final String id;
    private final ConcurrentMap<String, Integer> checks = new ConcurrentHashMap<>();
    private volatile boolean stopped;

    private Transactions(String id) {
        this.id = id;
    }

    /** Sends count messages, or until it is stopped when count is 0; a stop leaves the producer there to be asked. */
    static void start(Agent agent, Args args) throws Exception {
        TransactionMQProducer p = new TransactionMQProducer(args.need("group"));
        Transactions t = new Transactions(args.id);
        agent.locate(p);
        p.setInstanceName(args.id);
        p.setSendMsgTimeout(10_000);
        p.setHeartbeatBrokerInterval(args.number("heartbeat", 30_000));
        p.setTransactionListener(t);
        p.start();
        int count = args.number("count", 0);
        agent.keep(args.id, () -> {
            t.stopped = true;
            if (count > 0) {
                p.shutdown();
            }
        });
        new Event(args.id, "ready").print();
        for (int n = 0; (count == 0 || n < count) && !t.stopped; n++) {
            String name = args.need("name") + "-" + n;
            Message m = new Message(args.need("topic"), "tag", "key-" + name, Body.make(name, 0));
            m.putUserProperty("n", Integer.toString(n));
            try {
                SendResult r = p.sendMessageInTransaction(m, null);
                new Event(args.id, "sent").put("name", name).put("queue", r.getMessageQueue().getQueueId())
                    .put("status", r.getSendStatus().name()).put("msgId", r.getMsgId()).put("crc", Body.crc(m.getBody())).print();
            } catch (Exception e) {
                if (count > 0) {
                    throw e;
                }
                new Event(args.id, "refused").put("name", name).put("error", Agent.describe(e)).print();
            }
            if (args.number("rate", 0) > 0) {
                TimeUnit.NANOSECONDS.sleep(1_000_000_000L / args.number("rate", 0));
            }
        }
        new Event(args.id, "done").print();
    }

    @Override
    public LocalTransactionState executeLocalTransaction(Message m, Object arg) {
        switch (Integer.parseInt(m.getUserProperty("n")) % 5) {
            case 0:
                return LocalTransactionState.COMMIT_MESSAGE;
            case 1:
                return LocalTransactionState.ROLLBACK_MESSAGE;
            default:
                return LocalTransactionState.UNKNOW;
        }
    }

    @Override
    public LocalTransactionState checkLocalTransaction(MessageExt m) {
        String name = Body.name(m.getBody());
        int times = checks.merge(name, 1, Integer::sum);
        Reader.describe(new Event(id, "checked"), m).print();
        switch (Integer.parseInt(m.getUserProperty("n")) % 5) {
            case 1: // rolled back at once, and asked about where a kill took that
            case 3:
                return LocalTransactionState.ROLLBACK_MESSAGE;
            case 4:
                return times == 1 ? LocalTransactionState.UNKNOW : LocalTransactionState.COMMIT_MESSAGE;
            default:
                return LocalTransactionState.COMMIT_MESSAGE;
        }
    }
}
