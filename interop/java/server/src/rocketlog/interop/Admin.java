package rocketlog.interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * The official admin tool for many commands in one process: each line of standard input is a command with its
 * arguments, and "== end" follows what it printed.
 */
public final class Admin {
    private Admin() {
    }

    public static void main(String[] argv) throws Exception {
        System.setProperty("rocketmq.namesrv.addr", argv[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println("== " + line);
            try {
                MQAdminStartup.main0(line.trim().split(" +"), null);
            } catch (Throwable e) {
                e.printStackTrace(System.out);
            }
            System.out.println("== end");
            System.out.flush();
        }
        Runtime.getRuntime().halt(0);
    }
}
