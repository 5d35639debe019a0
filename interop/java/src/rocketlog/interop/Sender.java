package rocketlog.interop;

import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageQueue;

/** A started producer and the ways to send with it. */
final class Sender implements Agent.Running {
    /** Asynchronous sends that may be without an answer at a time. */
    private static final int IN_FLIGHT = 64;

    final DefaultMQProducer producer;
    private volatile boolean stopped;

    private Sender(DefaultMQProducer producer) {
        this.producer = producer;
    }

    static void start(Agent agent, Args args) throws Exception {
        DefaultMQProducer p = new DefaultMQProducer(args.need("group"), args.flag("trace"), null);
        agent.locate(p);
        compressBy(p, args.text("compress", ""));
        p.setInstanceName(args.id);
        p.setVipChannelEnabled(args.flag("vip"));
        p.setHeartbeatBrokerInterval(args.number("heartbeat", 30_000));
        p.setRetryTimesWhenSendFailed(args.number("retries", 2));
        p.setRetryTimesWhenSendAsyncFailed(args.number("retries", 2));
        p.setSendMsgTimeout(args.number("timeout", 10_000));
        p.setDefaultTopicQueueNums(args.number("queues", 4));
        p.start();
        agent.keep(args.id, new Sender(p));
        new Event(args.id, "ready").print();
    }

    /** Sets the compressor. Client 4 has but one, so it is chosen by name. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void compressBy(DefaultMQProducer p, String type) throws Exception {
        if (!type.isEmpty()) {
            Class<?> types = Class.forName("org.apache.rocketmq.common.compression.CompressionType");
            DefaultMQProducer.class.getMethod("setCompressType", types).invoke(p, Enum.valueOf((Class<? extends Enum>) types, type));
        }
    }

    @Override
    public void stop() {
        stopped = true;
        producer.shutdown();
    }

    /** Sends count messages, or until the send itself or its producer is stopped when count is 0. */
    void send(Agent agent, Args args) throws Exception {
        Job job = new Job(args);
        agent.keep(args.id, job);
        int count = args.number("count", 0);
        int batch = Math.max(1, args.number("batch", 1));
        long gapNanos = args.number("rate", 0) == 0 ? 0 : 1_000_000_000L * batch / args.number("rate", 0);
        long next = System.nanoTime();
        for (int n = 0; (count == 0 || n < count) && !job.stopped && !stopped; n += batch) {
            job.sendOnce(args.number("first", 0) + n, count == 0 ? batch : Math.min(batch, count - n));
            next += gapNanos;
            long wait = next - System.nanoTime();
            if (wait > 0) {
                TimeUnit.NANOSECONDS.sleep(wait);
            } else {
                next = System.nanoTime();
            }
        }
        job.inFlight.acquire(IN_FLIGHT);
        new Event(args.id, "done").print();
    }

    /** Takes a message back that is not delivered yet. Only client 5 can, so it is called by name. */
    void recall(Args args) throws Exception {
        try {
            Object id = DefaultMQProducer.class.getMethod("recallMessage", String.class, String.class)
                .invoke(producer, args.need("topic"), args.need("handle"));
            new Event(args.id, "recalled").put("msgId", String.valueOf(id)).print();
        } catch (InvocationTargetException e) {
            Event event = new Event(args.id, "refused").put("error", Agent.describe(e.getCause()));
            if (e.getCause() instanceof MQBrokerException) {
                event.put("code", ((MQBrokerException) e.getCause()).getResponseCode());
            }
            event.print();
        }
        new Event(args.id, "done").print();
    }

    private static String recallHandle(SendResult r) {
        try {
            return (String) SendResult.class.getMethod("getRecallHandle").invoke(r);
        } catch (ReflectiveOperationException e) {
            return null;
        }
    }

    private final class Job implements Agent.Running {
        private final Args args;
        private final String mode;
        private final String[] tags;
        private final Semaphore inFlight = new Semaphore(IN_FLIGHT);
        private volatile boolean stopped;

        Job(Args args) {
            this.args = args;
            this.mode = args.text("mode", "sync");
            String t = args.text("tags", "");
            this.tags = t.isEmpty() ? new String[0] : t.split(",");
        }

        @Override
        public void stop() {
            stopped = true;
        }

        void sendOnce(int n, int batch) throws InterruptedException {
            List<Message> messages = new ArrayList<>(batch);
            for (int i = 0; i < batch; i++) {
                messages.add(message(n + i));
            }
            try {
                deliver(n, messages);
            } catch (InterruptedException e) {
                throw e;
            } catch (Throwable e) {
                refused(messages, e);
                if (args.number("count", 0) == 0) {
                    // An endless send outlives its broker: it goes on, but not in a tight loop.
                    TimeUnit.MILLISECONDS.sleep(20);
                }
            }
        }

        private Message message(int n) {
            String name = args.need("name") + "-" + n;
            String tag = tags.length == 0 ? "" : tags[n % tags.length];
            String keys = args.flag("keys") ? "key-" + name + " all-" + args.need("name") : "";
            Message m = new Message(args.need("topic"), tag, keys, Body.make(name, args.number("size", 0)));
            m.putUserProperty("n", Integer.toString(n));
            if (args.number("priorities", 0) > 0) {
                MessageAccessor.putProperty(m, "_SYS_MSG_PRIORITY_", Integer.toString(n % args.number("priorities", 0)));
            }
            // Lists of light queues with ";" between, for one message after the other.
            String[] lights = args.text("lights", "").split(";", -1);
            if (!lights[n % lights.length].isEmpty()) {
                MessageAccessor.putProperty(m, "INNER_MULTI_DISPATCH", lights[n % lights.length]);
            }
            if (args.number("delay", 0) > 0) {
                m.setDelayTimeLevel(args.number("delay", 0));
            }
            // The setters for these came with client 5; what they set is older.
            if (args.number("delaySec", 0) > 0) {
                MessageAccessor.putProperty(m, "TIMER_DELAY_SEC", args.need("delaySec"));
            }
            if (args.number("delayMs", 0) > 0) {
                MessageAccessor.putProperty(m, "TIMER_DELAY_MS", args.need("delayMs"));
            }
            if (args.number("deliverIn", 0) != 0) {
                MessageAccessor.putProperty(m, "TIMER_DELIVER_MS", Long.toString(System.currentTimeMillis() + args.number("deliverIn", 0)));
            }
            return m;
        }

        private void deliver(int n, List<Message> messages) throws Exception {
            Message first = messages.get(0);
            int shards = args.number("shards", 0);
            switch (mode) {
                case "sync":
                    sent(messages, shards == 0 ? producer.send(first)
                        : producer.send(first, (queues, m, arg) -> queues.get((Integer) arg % queues.size()), n % shards));
                    break;
                case "async":
                    inFlight.acquire();
                    sendAsync(messages);
                    break;
                case "oneway":
                    producer.sendOneway(first);
                    new Event(args.id, "sent").put("name", Body.name(first.getBody())).put("queue", -1).put("offset", -1)
                        .put("status", "ONEWAY").put("crc", Body.crc(first.getBody())).print();
                    break;
                case "batch":
                    sent(messages, producer.send(messages));
                    break;
                default:
                    throw new IllegalArgumentException("unknown mode " + mode);
            }
        }

        private void sendAsync(List<Message> messages) throws Exception {
            try {
                producer.send(messages.get(0), new SendCallback() {
                    @Override
                    public void onSuccess(SendResult result) {
                        sent(messages, result);
                        inFlight.release();
                    }

                    @Override
                    public void onException(Throwable e) {
                        refused(messages, e);
                        inFlight.release();
                    }
                });
            } catch (Exception e) {
                inFlight.release();
                throw e;
            }
        }

        private void sent(List<Message> messages, SendResult r) {
            String[] ids = r.getMsgId().split(",");
            String[] offsetIds = r.getOffsetMsgId() == null ? new String[0] : r.getOffsetMsgId().split(",");
            MessageQueue mq = r.getMessageQueue();
            for (int i = 0; i < messages.size(); i++) {
                byte[] body = messages.get(i).getBody();
                new Event(args.id, "sent").put("name", Body.name(body)).put("topic", mq.getTopic())
                    .put("queue", mq.getQueueId()).put("offset", r.getQueueOffset() + i)
                    .put("status", r.getSendStatus().name()).put("msgId", i < ids.length ? ids[i] : null)
                    .put("offsetMsgId", i < offsetIds.length ? offsetIds[i] : null)
                    .put("crc", Body.crc(body)).put("handle", recallHandle(r)).print();
            }
        }

        private void refused(List<Message> messages, Throwable e) {
            for (Message m : messages) {
                Event event = new Event(args.id, "refused").put("name", Body.name(m.getBody())).put("error", Agent.describe(e));
                // After retries the broker's word is the cause of the client's.
                Throwable said = e instanceof MQBrokerException ? e : e.getCause();
                if (said instanceof MQBrokerException) {
                    event.put("code", ((MQBrokerException) said).getResponseCode());
                }
                event.print();
            }
        }
    }
}
