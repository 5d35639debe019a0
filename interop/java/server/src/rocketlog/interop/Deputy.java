package rocketlog.interop;

import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.rocketmq.broker.out.BrokerOuterAPI;
import org.apache.rocketmq.common.Pair;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.protocol.EpochEntry;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.body.BrokerReplicasInfo;
import org.apache.rocketmq.remoting.protocol.body.EpochEntryCache;
import org.apache.rocketmq.remoting.protocol.body.SyncStateSet;
import org.apache.rocketmq.remoting.protocol.header.NotifyBrokerRoleChangedRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.controller.GetReplicaInfoResponseHeader;

/**
 * Stands at a controller for a broker that has no client of one, by the calls of Java's brokers: it takes an id, sends
 * heartbeats with what the broker says of its log, passes on what a master says of its in-sync set, and gives the broker a
 * role that it may not have heard of. The broker counts as alive until its deputy leaves.
 */
final class Deputy {
    private static final String CLUSTER = "DefaultCluster";
    private static final int WAIT_MILLIS = 3000;
    private static final long ALIVE_MILLIS = 90_000;

    final long id;
    private final BrokerOuterAPI api;
    private final ScheduledExecutorService rounds = Executors.newSingleThreadScheduledExecutor();
    private final String controller;
    private final String name;
    private final String addr;
    private int epoch; // the last of the broker's log
    private long end = 0;
    private int told; // the epoch under which the broker was given its role last

    /** With an id above 0 the broker is back, else it gets one. */
    Deputy(String controller, String name, String addr, long id) throws Exception {
        this.controller = controller;
        this.name = name;
        this.addr = addr;
        NettyClientConfig patient = new NettyClientConfig();
        patient.setClientCloseSocketIfTimeout(false); // for the controller that would be the broker's death
        api = new BrokerOuterAPI(patient, null);
        api.start();
        if (id == 0) {
            id = api.getNextBrokerId(CLUSTER, name, controller).getNextBrokerId();
            api.applyBrokerId(CLUSTER, name, id, addr + ";" + System.currentTimeMillis(), controller);
        }
        this.id = id;
        api.registerBrokerToController(CLUSTER, name, id, addr, controller);
        heartbeat();
        rounds.scheduleWithFixedDelay(this::round, 0, 500, TimeUnit.MILLISECONDS);
    }

    /** Has the broker be the first master of its name, and returns under which epoch. */
    int elect() throws Exception {
        return api.brokerElect(controller, CLUSTER, name, id).getObject1().getMasterEpoch();
    }

    /** Closes the connection to the controller, as it closes when a broker dies. */
    void leave() throws Exception {
        rounds.shutdownNow();
        rounds.awaitTermination(2L * WAIT_MILLIS, TimeUnit.MILLISECONDS);
        api.shutdown();
    }

    private void round() {
        heartbeat();
        try {
            EpochEntryCache log = RemotingSerializable.decode(ask(RequestCode.GET_BROKER_EPOCH_CACHE, null), EpochEntryCache.class);
            List<EpochEntry> epochs = log.getEpochList();
            epoch = epochs.isEmpty() ? 0 : epochs.get(epochs.size() - 1).getEpoch();
            end = log.getMaxOffset();
            Pair<GetReplicaInfoResponseHeader, SyncStateSet> state = api.getReplicaInfo(controller, name);
            giveRole(state.getObject1(), state.getObject2());
            if (Long.valueOf(id).equals(state.getObject1().getMasterBrokerId())) {
                passOn(state.getObject1().getMasterEpoch(), state.getObject2());
            }
        } catch (Exception e) {
            System.out.println("deputy of " + addr + ": " + e);
        }
    }

    private void heartbeat() {
        api.sendHeartbeatToController(controller, CLUSTER, addr, name, id, WAIT_MILLIS, false, epoch, end, end, ALIVE_MILLIS, Integer.MAX_VALUE);
    }

    private void giveRole(GetReplicaInfoResponseHeader role, SyncStateSet set) throws Exception {
        if (role.getMasterBrokerId() == null || role.getMasterEpoch() <= told) {
            return;
        }
        RemotingCommand request = RemotingCommand.createRequestCommand(RequestCode.NOTIFY_BROKER_ROLE_CHANGED,
            new NotifyBrokerRoleChangedRequestHeader(role.getMasterAddress(), role.getMasterBrokerId(), role.getMasterEpoch(), set.getSyncStateSetEpoch()));
        request.setBody(set.encode());
        RemotingCommand answer = api.getRemotingClient().invokeSync(addr, request, WAIT_MILLIS);
        if (answer.getCode() != ResponseCode.SUCCESS && answer.getCode() != ResponseCode.CONTROLLER_FENCED_MASTER_EPOCH) {
            throw new IllegalStateException("no role: " + answer.getRemark());
        }
        told = role.getMasterEpoch(); // a broker that refuses has a role under this epoch already
    }

    private void passOn(int masterEpoch, SyncStateSet known) throws Exception {
        byte[] answer = ask(RequestCode.CONTROLLER_GET_SYNC_STATE_DATA, RemotingSerializable.encode(List.of(name)));
        BrokerReplicasInfo.ReplicasInfo info = RemotingSerializable.decode(answer, BrokerReplicasInfo.class).getReplicasInfoTable().get(name);
        Set<Long> members = info.getInSyncReplicas().stream().map(BrokerReplicasInfo.ReplicaIdentity::getBrokerId).collect(Collectors.toSet());
        if (info.getMasterEpoch() == masterEpoch && !members.equals(known.getSyncStateSet())) {
            api.alterSyncStateSet(controller, name, id, masterEpoch, members, known.getSyncStateSetEpoch());
        }
    }

    private byte[] ask(int code, byte[] body) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, null);
        request.setBody(body);
        RemotingCommand answer = api.getRemotingClient().invokeSync(addr, request, WAIT_MILLIS);
        if (answer.getCode() != ResponseCode.SUCCESS) {
            throw new IllegalStateException("code " + code + " is answered " + answer.getCode() + ": " + answer.getRemark());
        }
        return answer.getBody();
    }
}
