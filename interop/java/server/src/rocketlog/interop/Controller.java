package rocketlog.interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.controller.ControllerManager;
import org.apache.rocketmq.controller.ControllerStartup;

/**
 * RocketMQ's controller as its own start makes it. Lines of standard input let it have deputies besides, in this process
 * but over the network, for brokers that have no client of a controller; each is answered by a line that begins with "== ".
 */
public final class Controller {
    private final String addr;
    private final Map<Long, Deputy> deputies = new HashMap<>();

    private Controller(String addr) {
        this.addr = addr;
    }

    private String act(String[] words) throws Exception {
        switch (words[0]) {
            case "join":
                Deputy deputy = new Deputy(addr, words[1], words[2], words.length > 3 ? Long.parseLong(words[3]) : 0);
                deputies.put(deputy.id, deputy);
                return "joined " + deputy.id;
            case "elect":
                return "elected " + deputies.get(Long.parseLong(words[1])).elect();
            case "leave":
                deputies.remove(Long.parseLong(words[1])).leave();
                return "left";
            default:
                return "unknown";
        }
    }

    public static void main(String[] argv) throws Exception {
        ControllerManager manager = ControllerStartup.main0(new String[] {"-c", argv[0]});
        while (!manager.getController().isLeaderState()) {
            Thread.sleep(20);
        }
        System.out.println("== ready");
        Controller controller = new Controller(argv[1]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                answer = controller.act(line.trim().split(" +"));
            } catch (Throwable e) {
                e.printStackTrace(System.out);
                answer = "failed " + e;
            }
            System.out.println("== " + answer);
            System.out.flush();
        }
        Runtime.getRuntime().halt(0);
    }
}
