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
 * fill: puts so many bytes and dies at once, without a shutdown, as kill -9 does.
 * open: opens what fill left and says how long it took.
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

    public static void main(String[] args) throws Exception {
        StorePeer peer = new StorePeer(new Settings(args));
        switch (peer.settings.verb) {
            case "put":
                peer.put();
                break;
            case "fill":
                peer.fill();
                break;
            case "open":
                peer.open();
                break;
            default:
                throw new IllegalArgumentException("no such verb: " + peer.settings.verb);
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
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

        long cpu = OS.getProcessCpuTime();
        long begin = System.nanoTime();
        List<Writer> writers = write(settings.seconds("seconds", 3), each, firstSequence);
        long put = System.nanoTime();
        awaitDispatch();
        long end = System.nanoTime();
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
            "{\"messages\":%d,\"failed\":%d,\"seconds\":%.4f,\"rate\":%.1f,\"put_rate\":%.1f,\"cpu_us\":%.4f,"
                + "\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.1f,\"rss_anon_mib\":%.1f}%n",
            messages, failed, (end - begin) / 1e9, messages * 1e9 / (end - begin), messages * 1e9 / (put - begin),
            cpu / 1e3 / messages, latency.micros(0.5), latency.micros(0.99), latency.micros(0.999),
            latency.maxMicros(), anonymousMemory());
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
