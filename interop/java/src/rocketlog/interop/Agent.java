package rocketlog.interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.rocketmq.client.ClientConfig;

/**
 * Drives one version of the Java client by commands on standard input and tells what happens as JSON lines on
 * standard output. The first argument is the name servers' addresses, or the URL where to ask for them; the end of
 * the input ends the program.
 *
 * <p>Each command runs on a thread of its own. What it starts (a producer, a consumer, an endless send) is known by
 * the command's id until {@code stop target=id}.
 */
public final class Agent {
    /** What a command leaves running. */
    interface Running {
        void stop() throws Exception;
    }

    private final String nameServer; // null when the client is to ask for it by HTTP
    private final ConcurrentMap<String, Running> running = new ConcurrentHashMap<>();
    private final ExecutorService threads = Executors.newCachedThreadPool();

    private Agent(String nameServer) {
        if (nameServer.startsWith("http://")) {
            System.setProperty("rocketmq.namesrv.domain", URI.create(nameServer).getAuthority());
            nameServer = null;
        }
        this.nameServer = nameServer;
    }

    public static void main(String[] argv) throws Exception {
        Agent agent = new Agent(argv[0]);
        new Event("agent", "ready").print();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Args args = new Args(line);
            agent.threads.execute(() -> agent.run(args));
        }
        // Clients leave threads behind that are no daemons, so the program's end is said, not awaited.
        Runtime.getRuntime().halt(0);
    }

    /** Tells a client where the name servers are, and to be patient: a test may have the machine to share. */
    void locate(ClientConfig client) {
        client.setMqClientApiTimeout(20_000);
        if (nameServer != null) {
            client.setNamesrvAddr(nameServer);
        }
    }

    void keep(String id, Running r) {
        running.put(id, r);
    }

    <T extends Running> T find(String id, Class<T> type) {
        Running r = running.get(id);
        if (!type.isInstance(r)) {
            throw new IllegalArgumentException("no " + type.getSimpleName() + " " + id);
        }
        return type.cast(r);
    }

    private void run(Args args) {
        try {
            switch (args.verb) {
                case "producer":
                    Sender.start(this, args);
                    break;
                case "send":
                    find(args.need("producer"), Sender.class).send(this, args);
                    break;
                case "transact":
                    Transactions.start(this, args);
                    break;
                case "reply":
                    Rpc.reply(this, args);
                    break;
                case "request":
                    Rpc.request(this, args);
                    break;
                case "recall":
                    find(args.need("producer"), Sender.class).recall(args);
                    break;
                case "consume":
                    Consumers.start(this, args);
                    break;
                case "dump":
                    Reader.dump(this, args);
                    break;
                case "light":
                    Reader.light(this, args);
                    break;
                case "query":
                    Reader.query(this, args);
                    break;
                case "view":
                    Reader.view(this, args);
                    break;
                case "offsets":
                    Reader.offsets(this, args);
                    break;
                case "pop":
                case "ack":
                case "postpone":
                case "deadletter":
                case "poppush":
                case "prioritytopic":
                    pop(args);
                    break;
                case "stop":
                    stop(args);
                    break;
                default:
                    throw new IllegalArgumentException("unknown command " + args.verb);
            }
        } catch (Throwable e) {
            new Event(args.id, "failed").put("error", describe(e)).print();
        }
    }

    /** Found by its name, since it does not compile with clients that cannot pop. */
    private void pop(Args args) throws Exception {
        try {
            Class.forName("rocketlog.interop.Popper").getDeclaredMethod("run", Agent.class, Args.class).invoke(null, this, args);
        } catch (java.lang.reflect.InvocationTargetException e) {
            throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
        }
    }

    private void stop(Args args) throws Exception {
        Running r = running.remove(args.need("target"));
        if (r == null) {
            throw new IllegalArgumentException("nothing runs as " + args.need("target"));
        }
        r.stop();
        new Event(args.id, "done").print();
    }

    static String describe(Throwable e) {
        Throwable cause = e.getCause();
        return cause == null || cause == e ? e.toString() : e + " <- " + cause;
    }
}
