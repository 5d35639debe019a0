package rocketlog.peer;

import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.PutMessageResult;

/**
 * Puts messages one after the other, each when the last is answered. It reuses the message and
 * patches keys into a template, so that the store's cost is measured and not the making of messages.
 */
final class Writer extends Thread {
    static final int QUEUES_PER_TOPIC = 8;
    /** How long a paced writer sleeps at least when no put is due, as ours does. */
    private static final long DOZE_NANOS = 100_000;
    private static final InetSocketAddress HOST = new InetSocketAddress("127.0.0.1", 10911);
    private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);

    final Latency latency = new Latency();
    long messages;
    long failed;
    /** Nanoseconds from one put to the next, 0 for as fast as can be. */
    long interval;
    private final DefaultMessageStore store;
    private final int id;
    private final int queues;
    private final long deadline;
    private final long messagesMax;
    private final byte[] body;
    private final byte[] properties;
    private final int keyAt;
    private final int uniqueKeyAt;
    private final MessageExtBrokerInner message = new MessageExtBrokerInner();
    private long sequence;

    Writer(DefaultMessageStore store, int id, Settings settings, double seconds, long messagesMax, long firstSequence) {
        super("writer-" + id);
        this.store = store;
        this.id = id;
        this.queues = (int) settings.number("queues", 4);
        this.deadline = System.nanoTime() + (long) (seconds * 1e9);
        this.messagesMax = messagesMax;
        this.body = new byte[(int) settings.number("body", 1024)];
        this.sequence = firstSequence;
        for (int i = 0; i < body.length; i++) {
            body[i] = (byte) ('a' + i % 26);
        }
        String start = "KEYS\u0001order-";
        String middle = String.format("%04x", id) + "000000000000\u0002UNIQ_KEY\u00017F000001" + String.format("%04X", id) + "2A139A55";
        this.keyAt = start.length();
        this.uniqueKeyAt = start.length() + middle.length();
        String text = start + middle + "000000000000\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002";
        this.properties = text.getBytes(StandardCharsets.ISO_8859_1);
        message.setBody(body);
        message.setBornHost(HOST);
        message.setStoreHost(HOST);
        message.setWaitStoreMsgOK(true);
        message.setTags("TagA");
        message.setBornTimestamp(System.currentTimeMillis());
    }

    @Override
    public void run() {
        if (interval > 0) {
            runPaced();
            return;
        }
        long last = System.nanoTime();
        while (messages < messagesMax && last < deadline) {
            put();
            long now = System.nanoTime();
            latency.record(now - last);
            last = now;
        }
    }

    private void runPaced() {
        for (long due = System.nanoTime(); due < deadline && messages < messagesMax; due += interval) {
            while (System.nanoTime() < due) {
                LockSupport.parkNanos(DOZE_NANOS);
            }
            put();
            latency.record(System.nanoTime() - due);
        }
    }

    private void put() {
        long n = sequence++;
        hex(n, properties, keyAt + 4, 12);
        hex(n, properties, uniqueKeyAt, 12);
        int queue = (int) ((n * 31 + id) % queues);
        message.setTopic(Topics.name(queue / QUEUES_PER_TOPIC));
        message.setQueueId(queue % QUEUES_PER_TOPIC);
        message.setPropertiesString(new String(properties, StandardCharsets.ISO_8859_1));
        PutMessageResult result = store.putMessage(message);
        messages++;
        if (!result.isOk()) {
            failed++;
        }
    }

    static void hex(long v, byte[] dst, int at, int digits) {
        for (int i = at + digits - 1; i >= at; i--) {
            dst[i] = HEX[(int) (v & 15)];
            v >>>= 4;
        }
    }

    /** Topic names made once: a name per put would be the harness's garbage, not the store's. */
    static final class Topics {
        private static final String[] NAMES = new String[16384];

        static {
            for (int i = 0; i < NAMES.length; i++) {
                NAMES[i] = "BenchTopic" + i;
            }
        }

        static String name(int i) {
            return NAMES[i];
        }
    }
}
