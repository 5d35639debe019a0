package rocketlog.peer;

import com.sun.management.OperatingSystemMXBean;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.config.FlushDiskType;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/**
 * Drives Java's DefaultMessageStore by itself and prints one line of JSON.
 *
 * <p>put: writers put for some seconds; the clock stops when all is dispatched to queues and index.
 * paced: one writer puts at a steady rate, and may have files deleted behind it.
 * fill: puts so many bytes and dies at once, without a shutdown, as kill -9 does; fill-clean shuts down.
 * open: opens what fill left and says how long it took.
 * read: reads it from the beginning to the end, once or again and again. query: looks up keys at random.
 *
 * <p>The process ends by halt in every case: the store's files are deleted by who started it.
 */
public final class StorePeer {
    private static final OperatingSystemMXBean OS =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private final Settings settings;
    private DefaultMessageStore store;

    private StorePeer(Settings settings) {
        this.settings = settings;
    }

    public static void main(String[] args) {
        int code = 0;
        try {
            run(args);
        } catch (Throwable e) { // the store's threads would keep the process
            e.printStackTrace();
            code = 1;
        }
        System.out.flush();
        Runtime.getRuntime().halt(code);
    }

    private static void run(String[] args) throws Exception {
        StorePeer peer = new StorePeer(new Settings(args));
        switch (peer.settings.verb) {
            case "put":
                peer.put();
                break;
            case "paced":
                peer.paced();
                break;
            case "fill":
                peer.fill();
                break;
            case "fill-clean":
                peer.fill();
                peer.awaitDispatch();
                peer.store.shutdown();
                break;
            // Each leaves a clean stop behind: after a kill the next open drops the index file in use.
            case "read":
                peer.read();
                peer.store.shutdown();
                break;
            case "query":
                peer.query();
                peer.store.shutdown();
                break;
            case "open":
                peer.open();
                peer.store.shutdown();
                break;
            default:
                throw new IllegalArgumentException("no such verb: " + peer.settings.verb);
        }
    }

    private void start() throws Exception {
        String dir = settings.text("dir", "");
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(dir);
        config.setStorePathCommitLog(dir + File.separator + "commitlog");
        config.setHaListenPort(0);
        config.setFlushDiskType("sync".equals(settings.text("flush", "async"))
            ? FlushDiskType.SYNC_FLUSH : FlushDiskType.ASYNC_FLUSH);
        String variant = settings.text("variant", "default");
        config.setTransientStorePoolEnable("pool".equals(variant));
        // Three of its buffers of 1 GiB are enough for the writers never to wait, and leave memory to the page cache.
        config.setTransientStorePoolSize(3);
        config.setWarmMapedFileEnable("warm".equals(variant));
        BrokerConfig broker = new BrokerConfig();
        BrokerStatsManager stats = new BrokerStatsManager(broker);
        config.setMessageIndexEnable(!"false".equals(settings.text("index", "true")));
        config.setMappedFileSizeCommitLog((int) settings.number("file", config.getMappedFileSizeCommitLog()));
        store = new DefaultMessageStore(config, stats, null, broker, new ConcurrentHashMap<>());
        if (!store.load()) {
            throw new IllegalStateException("load() is false, see store.log");
        }
        store.start();
    }

    private void put() throws Exception {
        start();
        List<Writer> first = write(0.001, 1, 0);
        awaitAllocation();
        long each = settings.number("messages", 2_000_000) / settings.number("writers", 1);
        List<Writer> warm = write(settings.seconds("warmup", 3), each / 2, 1);
        awaitDispatch();
        long firstSequence = first.size() + warm.stream().mapToLong(w -> w.messages).max().orElse(0) + 1;

        Reader beside = startScan();
        long cpu = OS.getProcessCpuTime();
        long begin = System.nanoTime();
        List<Writer> writers = write(settings.seconds("seconds", 3), each, firstSequence);
        long put = System.nanoTime();
        awaitDispatch();
        long end = System.nanoTime();
        double readRate = stopScan(beside, begin);
        cpu = OS.getProcessCpuTime() - cpu;

        Latency latency = new Latency();
        long messages = 0;
        long failed = 0;
        for (Writer w : writers) {
            latency.add(w.latency);
            messages += w.messages;
            failed += w.failed;
        }
        System.out.printf(Locale.ROOT,
            "{\"messages\":%d,\"failed\":%d,\"seconds\":%.4f,\"rate\":%.1f,\"put_rate\":%.1f,\"read_rate\":%.1f,"
                + "\"cpu_us\":%.4f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.1f,\"rss_anon_mib\":%.1f}%n",
            messages, failed, (end - begin) / 1e9, messages * 1e9 / (end - begin), messages * 1e9 / (put - begin), readRate,
            cpu / 1e3 / messages, latency.micros(0.5), latency.micros(0.99), latency.micros(0.999),
            latency.maxMicros(), anonymousMemory());
    }

    /** One writer at a steady pace: one put is due each interval, and is late from then on. */
    private void paced() throws Exception {
        start();
        write(0.001, 1, 0);
        awaitAllocation();
        long interval = 1_000_000_000L / settings.number("rate", 50_000);
        Writer warm = pace(interval, settings.seconds("warmup", 3), 1);
        long keep = settings.number("retain", 0);
        long file = settings.number("file", 1L << 30);
        Thread cleaner = new Thread(() -> clean(keep, file), "cleaner");
        cleaner.setDaemon(true);
        if (keep > 0) {
            cleaner.start();
        }
        Reader beside = startScan();
        long cpu = OS.getProcessCpuTime();
        long begin = System.nanoTime();
        Writer w = pace(interval, settings.seconds("seconds", 3), warm.messages + 2);
        long end = System.nanoTime();
        double readRate = stopScan(beside, begin);
        cpu = OS.getProcessCpuTime() - cpu;
        if (keep > 0 && store.getMinPhyOffset() == 0) {
            throw new IllegalStateException("nothing was deleted");
        }
        System.out.printf(Locale.ROOT,
            "{\"messages\":%d,\"failed\":%d,\"seconds\":%.4f,\"put_rate\":%.1f,\"read_rate\":%.1f,\"cpu_us\":%.4f,"
                + "\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.1f}%n",
            w.messages, w.failed, (end - begin) / 1e9, w.messages * 1e9 / (end - begin), readRate, cpu / 1e3 / w.messages,
            w.latency.micros(0.5), w.latency.micros(0.99), w.latency.micros(0.999), w.latency.maxMicros());
    }

    private Writer pace(long interval, double seconds, long firstSequence) throws InterruptedException {
        Writer w = new Writer(store, 0, settings, seconds, Long.MAX_VALUE, firstSequence);
        w.interval = interval;
        w.start();
        w.join();
        return w;
    }

    /** Deletes the oldest file whenever more is kept than is wanted, as the store does at its interval of 10 s. */
    private void clean(long keep, long file) {
        try {
            while (true) {
                Thread.sleep(200);
                if (store.getMaxPhyOffset() - store.getMinPhyOffset() > keep + file) {
                    store.getCommitLog().deleteExpiredFile(0, 0, 120_000, true, 1);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private Reader startScan() {
        if (!"true".equals(settings.text("scan", "false"))) {
            return null;
        }
        Reader r = new Reader(store, settings);
        r.start();
        return r;
    }

    private static double stopScan(Reader r, long begin) throws InterruptedException {
        if (r == null) {
            return 0;
        }
        r.stops = true;
        r.join();
        return r.messages * 1e9 / (System.nanoTime() - begin);
    }

    private void read() throws Exception {
        start();
        awaitDispatch();
        Reader r = new Reader(store, settings);
        boolean once = "true".equals(settings.text("once", "false"));
        if (!once) {
            r.repeat(settings.seconds("warmup", 3));
        }
        long bytes = allocated();
        long cpu = OS.getProcessCpuTime();
        long begin = System.nanoTime();
        r.messages = 0;
        r.repeat(once ? 0 : settings.seconds("seconds", 3));
        print(r.messages, begin, cpu, bytes);
    }

    private void query() throws Exception {
        start();
        awaitDispatch();
        Query q = new Query(store, settings.number("messages", 0));
        q.repeat(settings.seconds("warmup", 3));
        long bytes = allocated();
        long cpu = OS.getProcessCpuTime();
        long begin = System.nanoTime();
        long n = q.repeat(settings.seconds("seconds", 3));
        print(n, begin, cpu, bytes);
    }

    /** Bytes that this thread has allocated. */
    private static long allocated() {
        return ((com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean())
            .getThreadAllocatedBytes(Thread.currentThread().getId());
    }

    private static void print(long n, long begin, long cpu, long bytes) {
        double seconds = (System.nanoTime() - begin) / 1e9;
        System.out.printf(Locale.ROOT, "{\"messages\":%d,\"seconds\":%.4f,\"rate\":%.1f,\"cpu_us\":%.4f,\"alloc_bytes\":%.1f}%n",
            n, seconds, n / seconds, (OS.getProcessCpuTime() - cpu) / 1e3 / n, (double) (allocated() - bytes) / n);
    }

    private void fill() throws Exception {
        start();
        long bytes = settings.number("bytes", 1L << 30);
        long sequence = 0;
        while (store.getMaxPhyOffset() < bytes) {
            for (Writer w : write(0.1, Long.MAX_VALUE, sequence)) {
                sequence = Math.max(sequence, sequence + w.messages);
            }
        }
        System.out.printf(Locale.ROOT, "{\"messages\":%d,\"bytes\":%d}%n", sequence, store.getMaxPhyOffset());
    }

    private void open() throws Exception {
        long begin = System.nanoTime();
        start();
        awaitDispatch();
        double seconds = (System.nanoTime() - begin) / 1e9;
        long messages = 0;
        int queues = (int) settings.number("queues", 4);
        for (int q = 0; q < queues; q++) {
            messages += store.getMaxOffsetInQueue(
                Writer.Topics.name(q / Writer.QUEUES_PER_TOPIC), q % Writer.QUEUES_PER_TOPIC);
        }
        System.out.printf(Locale.ROOT, "{\"seconds\":%.4f,\"messages\":%d,\"bytes\":%d,\"cpu_seconds\":%.3f}%n",
            seconds, messages, store.getMaxPhyOffset(), OS.getProcessCpuTime() / 1e9);
    }

    private List<Writer> write(double seconds, long messagesMax, long firstSequence) throws InterruptedException {
        List<Writer> writers = new ArrayList<>();
        for (int i = 0; i < settings.number("writers", 1); i++) {
            writers.add(new Writer(store, i, settings, seconds, messagesMax, firstSequence));
        }
        for (Writer w : writers) {
            w.start();
        }
        for (Writer w : writers) {
            w.join();
        }
        return writers;
    }

    private void awaitDispatch() throws InterruptedException {
        while (store.dispatchBehindBytes() > 0) {
            Thread.sleep(1);
        }
    }

    /** Waits until the first files are allocated (and warmed): the best that Java's variants can do is wanted. */
    private void awaitAllocation() throws InterruptedException {
        int quiet = 0;
        for (int i = 0; i < 3000 && quiet < 5; i++) {
            Thread.sleep(10);
            boolean waits = Thread.getAllStackTraces().keySet().stream()
                .anyMatch(t -> t.getName().contains("AllocateMappedFileService") && t.getState() == Thread.State.WAITING);
            quiet = waits ? quiet + 1 : 0;
        }
    }

    private static double anonymousMemory() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("RssAnon:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024.0;
            }
        }
        return 0;
    }
}
