package rocketlog.peer;

import java.nio.ByteBuffer;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.GetMessageStatus;

/**
 * Gets the messages of all queues in turns, 32 at a time, so that it goes through the log from its beginning to its
 * end. With -copy=true it copies them to the heap as the broker does by default (transferMsgByHeap); without, it has them
 * where they lie, as the broker's other way does.
 */
final class Reader extends Thread {
    private static final int PER_GET = 32;

    volatile boolean stops;
    long messages;
    private final DefaultMessageStore store;
    private final boolean copy;
    private final long[] offsets;
    private int turn;

    Reader(DefaultMessageStore store, Settings settings) {
        super("reader");
        this.store = store;
        this.copy = "true".equals(settings.text("copy", "false"));
        this.offsets = new long[(int) settings.number("queues", 4)];
    }

    /** Reads on and on, waiting where it has caught up. */
    @Override
    public void run() {
        while (!stops) {
            if (!get()) {
                try {
                    Thread.sleep(1);
                } catch (InterruptedException e) {
                    return;
                }
            }
        }
    }

    /** Reads all there is, again and again until the time is over, once at least. */
    void repeat(double seconds) {
        long begin = System.nanoTime();
        do {
            java.util.Arrays.fill(offsets, 0);
            int ended = 0;
            while (ended < offsets.length) {
                ended = get() ? 0 : ended + 1;
            }
        } while (System.nanoTime() - begin < seconds * 1e9);
    }

    private boolean get() {
        int queue = turn;
        turn = (turn + 1) % offsets.length;
        GetMessageResult result = store.getMessage("reader", Writer.Topics.name(queue / Writer.QUEUES_PER_TOPIC),
            queue % Writer.QUEUES_PER_TOPIC, offsets[queue], PER_GET, null);
        if (result == null) {
            return false;
        }
        try {
            offsets[queue] = result.getNextBeginOffset();
            messages += result.getMessageCount();
            if (copy && result.getBufferTotalSize() > 0) {
                ByteBuffer all = ByteBuffer.allocate(result.getBufferTotalSize());
                for (ByteBuffer b : result.getMessageBufferList()) {
                    all.put(b);
                }
            }
            return result.getStatus() == GetMessageStatus.FOUND;
        } finally {
            result.release();
        }
    }
}
