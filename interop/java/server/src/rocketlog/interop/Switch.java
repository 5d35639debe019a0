package rocketlog.interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.PutMessageResult;
import org.apache.rocketmq.store.config.BrokerRole;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.ha.autoswitch.AutoSwitchHAService;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/**
 * RocketMQ's store with its auto-switch HA and no controller: what a controller would say comes line by line on
 * standard input, and each line is answered by one that begins with "== ". The in-sync set is what the master proposes.
 */
public final class Switch {
    private final MessageStoreConfig config = new MessageStoreConfig();
    private final BrokerConfig broker = new BrokerConfig();
    private final long id;
    private final DefaultMessageStore store;
    private final AutoSwitchHAService ha;

    private Switch(String dir, long id, int haPort, int fileSize) throws Exception {
        this.id = id;
        broker.setEnableControllerMode(true);
        broker.setBrokerName("broker-a");
        config.setBrokerRole(BrokerRole.SLAVE);
        config.setStorePathRootDir(dir);
        config.setStorePathCommitLog(dir + "/commitlog");
        config.setHaListenPort(haPort);
        config.setMappedFileSizeCommitLog(fileSize);
        config.setMappedFileSizeConsumeQueue(20 * 1000);
        config.setMaxHashSlotNum(100);
        config.setMaxIndexNum(400);
        config.setHaSendHeartbeatInterval(500);
        config.setAllAckInSyncStateSet(true);
        config.setSlaveTimeout(20000);
        config.setTimerWheelEnable(false);
        config.setDiskMaxUsedSpaceRatio(95);
        store = new DefaultMessageStore(config, new BrokerStatsManager("switch", true), (topic, queue, offset, tags, time, map, properties) -> { },
            broker, new ConcurrentHashMap<>());
        if (!store.load()) {
            throw new IllegalStateException("the store cannot be loaded");
        }
        store.start();
        ha = (AutoSwitchHAService) store.getHaService();
        ha.setLocalBrokerId(id);
        ha.registerSyncStateSetChangedListener(set -> {
            Set<Long> members = new HashSet<>(set);
            members.add(id);
            ha.setSyncStateSet(members);
        });
    }

    private String act(String[] words) throws Exception {
        switch (words[0]) {
            case "master":
                ha.setSyncStateSet(Set.of(id));
                if (!ha.changeToMaster(Integer.parseInt(words[1]))) {
                    return "refused";
                }
                config.setBrokerRole(BrokerRole.SYNC_MASTER);
                return "master";
            case "slave":
                config.setBrokerRole(BrokerRole.SLAVE);
                if (!ha.changeToSlave("", Integer.parseInt(words[1]), id)) {
                    return "refused";
                }
                ha.updateHaMasterAddress(words[2]);
                return "slave";
            case "put":
                for (int i = 0; i < Integer.parseInt(words[1]); i++) {
                    PutMessageResult result = store.putMessage(message(words[3] + i, Integer.parseInt(words[2]), i));
                    if (!result.isOk()) {
                        return "message " + i + ": " + result.getPutMessageStatus();
                    }
                }
                return "put";
            case "state":
                return "max " + store.getMaxPhyOffset() + " confirm " + store.getConfirmOffset() + " behind " + store.dispatchBehindBytes()
                    + " set " + ha.getLocalSyncStateSet() + " epochs " + epochs();
            default:
                return "unknown";
        }
    }

    private String epochs() {
        StringBuilder text = new StringBuilder();
        ha.getEpochEntries().forEach(e -> text.append(e.getEpoch()).append('-').append(e.getStartOffset()).append(','));
        return text.toString();
    }

    private static MessageExtBrokerInner message(String body, int size, int i) {
        MessageExtBrokerInner m = new MessageExtBrokerInner();
        m.setTopic("Copied");
        m.setTags("T");
        m.setKeys(body);
        m.setBody((body + " ".repeat(Math.max(0, size - body.length()))).getBytes(StandardCharsets.UTF_8));
        m.setQueueId(i % 4);
        m.setBornTimestamp(System.currentTimeMillis());
        m.setBornHost(new InetSocketAddress("127.0.0.1", 1));
        m.setStoreHost(new InetSocketAddress("127.0.0.1", 2));
        m.setPropertiesString(MessageDecoder.messageProperties2String(m.getProperties()));
        return m;
    }

    public static void main(String[] argv) throws Exception {
        Switch s = new Switch(argv[0], Long.parseLong(argv[1]), Integer.parseInt(argv[2]), Integer.parseInt(argv[3]));
        System.out.println("== ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                answer = s.act(line.trim().split(" +"));
            } catch (Throwable e) {
                e.printStackTrace(System.out);
                answer = "failed " + e;
            }
            System.out.println("== " + answer);
            System.out.flush();
        }
        s.store.shutdown();
        Runtime.getRuntime().halt(0);
    }
}
