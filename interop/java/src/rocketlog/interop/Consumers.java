package rocketlog.interop;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.exception.RemotingSendRequestException;

/** Consumers of each kind, told as one "got" event a message. */
final class Consumers {
    private Consumers() {
    }

    static void start(Agent agent, Args args) throws Exception {
        switch (args.need("kind")) {
            case "push":
                push(agent, args);
                break;
            case "pull":
                pull(agent, args);
                break;
            case "litepull":
                litePull(agent, args);
                break;
            case "assign":
                assign(agent, args);
                break;
            default:
                throw new IllegalArgumentException("unknown kind " + args.need("kind"));
        }
    }

    private static void push(Agent agent, Args args) throws Exception {
        DefaultMQPushConsumer c = new DefaultMQPushConsumer(args.need("group"));
        agent.locate(c);
        c.setInstanceName(args.id);
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.setConsumeThreadMin(args.number("threads", 4));
        c.setConsumeThreadMax(args.number("threads", 4));
        c.setConsumeMessageBatchMaxSize(args.number("batch", 1));
        c.setMaxReconsumeTimes(args.number("maxReconsume", -1));
        c.setPollNameServerInterval(1000);
        // A stopping consumer finishes what it has in hand, so that a graceful leave hands nothing out twice.
        c.setAwaitTerminationMillisWhenShutdown(5000);
        model(c, args);
        c.subscribe(args.need("topic"), selector(args));
        String fail = args.text("fail", "never");
        int pause = args.number("pause", 0);
        if (args.flag("orderly")) {
            c.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                got(args.id, messages, pause);
                return fails(fail, messages) ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            c.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                got(args.id, messages, pause);
                return fails(fail, messages) ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        c.start();
        agent.keep(args.id, c::shutdown);
        new Event(args.id, "ready").print();
    }

    /** What of the topic is wanted: by "sql" or by "tags". */
    private static MessageSelector selector(Args args) {
        String sql = args.text("sql", "");
        return sql.isEmpty() ? MessageSelector.byTag(args.text("tags", "*")) : MessageSelector.bySql(sql);
    }

    /** Whether the listener refuses: "always", or "once" for a message on its first delivery. */
    private static boolean fails(String when, List<MessageExt> messages) {
        return when.equals("always") || when.equals("once") && messages.get(0).getReconsumeTimes() == 0;
    }

    /** Sets the message model by its name: the enum moved to another package between 4.9 and 5.x. */
    private static void model(Object consumer, Args args) throws ReflectiveOperationException {
        String name = args.flag("broadcast") ? "BROADCASTING" : "CLUSTERING";
        for (Method m : consumer.getClass().getMethods()) {
            if (m.getName().equals("setMessageModel")) {
                for (Object constant : m.getParameterTypes()[0].getEnumConstants()) {
                    if (constant.toString().equals(name)) {
                        m.invoke(consumer, constant);
                        return;
                    }
                }
            }
        }
        throw new InvocationTargetException(null, "no setMessageModel(" + name + ")");
    }

    private static void pull(Agent agent, Args args) throws Exception {
        DefaultMQPullConsumer c = new DefaultMQPullConsumer(args.need("group"));
        agent.locate(c);
        c.setInstanceName(args.id);
        c.start();
        Loop loop = new Loop(args.id, c::shutdown);
        agent.keep(args.id, loop);
        new Event(args.id, "ready").print();
        loop.run(() -> {
            boolean idle = true;
            for (MessageQueue mq : c.fetchSubscribeMessageQueues(args.need("topic"))) {
                long from = Math.max(0, c.fetchConsumeOffset(mq, false));
                PullResult r = c.pull(mq, selector(args), from, 32);
                if (r.getPullStatus() == PullStatus.FOUND) {
                    idle = false;
                    got(args.id, r.getMsgFoundList(), 0);
                }
                c.updateConsumeOffset(mq, r.getNextBeginOffset());
                c.getOffsetStore().persist(mq);
            }
            if (idle) {
                TimeUnit.MILLISECONDS.sleep(50);
            }
        });
    }

    private static DefaultLitePullConsumer lite(Agent agent, Args args) throws Exception {
        DefaultLitePullConsumer c = new DefaultLitePullConsumer(args.need("group"));
        agent.locate(c);
        c.setInstanceName(args.id);
        c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        c.setAutoCommit(false);
        model(c, args);
        return c;
    }

    private static void litePull(Agent agent, Args args) throws Exception {
        DefaultLitePullConsumer c = lite(agent, args);
        c.subscribe(args.need("topic"), selector(args));
        c.start();
        poll(agent, args, c);
    }

    /** Lite pull with queues of its own choice, from the beginning. */
    private static void assign(Agent agent, Args args) throws Exception {
        DefaultLitePullConsumer c = lite(agent, args);
        c.start();
        java.util.Collection<MessageQueue> queues = c.fetchMessageQueues(args.need("topic"));
        c.assign(queues);
        for (MessageQueue mq : queues) {
            seekToBegin(c, mq);
        }
        poll(agent, args, c);
    }

    /**
     * Seeks, again when the client cut its own connection: a seek interrupts the pull that runs, and when that one was just
     * about to be sent, client 5.5.0 closes the connection, and with it fails what else is asked over it.
     */
    private static void seekToBegin(DefaultLitePullConsumer c, MessageQueue mq) throws MQClientException {
        for (int left = 10; ; left--) {
            try {
                c.seekToBegin(mq);
                return;
            } catch (MQClientException e) {
                if (left == 0 || !(e.getCause() instanceof RemotingSendRequestException)) {
                    throw e;
                }
            }
        }
    }

    private static void poll(Agent agent, Args args, DefaultLitePullConsumer c) throws Exception {
        Loop loop = new Loop(args.id, c::shutdown);
        agent.keep(args.id, loop);
        new Event(args.id, "ready").print();
        loop.run(() -> {
            List<MessageExt> messages = c.poll(200);
            got(args.id, messages, 0);
            if (!messages.isEmpty()) {
                c.commitSync();
            }
        });
    }

    static void got(String id, List<MessageExt> messages, int pauseMillis) {
        for (MessageExt m : messages) {
            Reader.describe(new Event(id, "got"), m).print();
        }
        if (pauseMillis > 0) {
            try {
                TimeUnit.MILLISECONDS.sleep(pauseMillis);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Repeats a step until stopped; an error of a step is told, and the step tried again. */
    private static final class Loop implements Agent.Running {
        interface Step {
            void run() throws Exception;
        }

        private final String id;
        private final Runnable close;
        private final CountDownLatch ended = new CountDownLatch(1);
        private volatile boolean stopped;

        Loop(String id, Runnable close) {
            this.id = id;
            this.close = close;
        }

        void run(Step step) throws InterruptedException {
            while (!stopped) {
                try {
                    step.run();
                } catch (Exception e) {
                    new Event(id, "error").put("error", Agent.describe(e)).print();
                    TimeUnit.MILLISECONDS.sleep(200);
                }
            }
            ended.countDown();
        }

        @Override
        public void stop() throws Exception {
            stopped = true;
            ended.await(20, TimeUnit.SECONDS);
            close.run();
        }
    }
}
