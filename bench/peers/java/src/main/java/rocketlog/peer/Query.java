package rocketlog.peer;

import java.nio.charset.StandardCharsets;
import java.util.SplittableRandom;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.QueryMessageResult;

/** Looks up keys of the first writer at random. */
final class Query {
    private static final int MAX = 32;
    private final DefaultMessageStore store;
    private final long messages;
    private final SplittableRandom random = new SplittableRandom(1);
    private final long end = System.currentTimeMillis() + 3_600_000;

    Query(DefaultMessageStore store, long messages) {
        this.store = store;
        this.messages = messages;
    }

    long repeat(double seconds) {
        long begin = System.nanoTime();
        long n = 0;
        long missed = 0;
        byte[] digits = "order-0000000000000000".getBytes(StandardCharsets.ISO_8859_1);
        for (; System.nanoTime() - begin < seconds * 1e9; n++) {
            Writer.hex(random.nextLong(messages), digits, digits.length - 12, 12);
            String key = new String(digits, StandardCharsets.ISO_8859_1);
            QueryMessageResult result = store.queryMessage(Writer.Topics.name(0), key, MAX, 0, end);
            if (result.getMessageBufferList().isEmpty()) {
                missed++; // a put that was refused while filling
            }
            result.release();
        }
        if (missed > n / 10) {
            throw new IllegalStateException("nothing found of " + missed + " keys of " + n);
        }
        return n;
    }
}
