package rocketlog.peer;

/**
 * Counts latencies in buckets of under 2 % width: 64 linear steps in each power of two, as the Go
 * side does, so that percentiles of both are comparable. One writer each; merge when they stopped.
 */
final class Latency {
    private static final int STEP_BITS = 6;
    private static final int STEPS = 1 << STEP_BITS;
    private final long[] counts = new long[(64 - STEP_BITS) * STEPS];
    private long max;

    void record(long nanos) {
        counts[bucket(Math.max(nanos, 0))]++;
        if (nanos > max) {
            max = nanos;
        }
    }

    void add(Latency other) {
        for (int i = 0; i < counts.length; i++) {
            counts[i] += other.counts[i];
        }
        max = Math.max(max, other.max);
    }

    /** The latency in microseconds that the given share of all stays at or below. */
    double micros(double share) {
        long total = 0;
        for (long c : counts) {
            total += c;
        }
        long rank = (long) Math.ceil(total * share);
        long seen = 0;
        for (int i = 0; i < counts.length; i++) {
            seen += counts[i];
            if (seen >= rank && seen > 0) {
                return lower(i) / 1e3;
            }
        }
        return 0;
    }

    double maxMicros() {
        return max / 1e3;
    }

    private static int bucket(long v) {
        if (v < STEPS) {
            return (int) v;
        }
        int shift = 63 - Long.numberOfLeadingZeros(v) - STEP_BITS;
        return (shift + 1) * STEPS + (int) (v >>> shift) - STEPS;
    }

    private static long lower(int bucket) {
        if (bucket < STEPS) {
            return bucket;
        }
        int shift = bucket / STEPS - 1;
        return (long) (bucket % STEPS + STEPS) << shift;
    }
}
