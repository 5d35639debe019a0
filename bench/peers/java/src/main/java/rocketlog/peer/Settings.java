package rocketlog.peer;

import java.util.HashMap;
import java.util.Map;

/** The command line: a verb and -name=value pairs. */
final class Settings {
    final String verb;
    private final Map<String, String> values = new HashMap<>();

    Settings(String[] args) {
        if (args.length == 0) {
            throw new IllegalArgumentException("usage: StorePeer put|paced|fill|fill-clean|open|read|query -name=value ...");
        }
        verb = args[0];
        for (int i = 1; i < args.length; i++) {
            int eq = args[i].indexOf('=');
            if (!args[i].startsWith("-") || eq < 0) {
                throw new IllegalArgumentException("not -name=value: " + args[i]);
            }
            values.put(args[i].substring(1, eq), args[i].substring(eq + 1));
        }
    }

    String text(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    long number(String name, long otherwise) {
        String v = values.get(name);
        return v == null ? otherwise : Long.parseLong(v);
    }

    double seconds(String name, double otherwise) {
        String v = values.get(name);
        return v == null ? otherwise : Double.parseDouble(v);
    }
}
