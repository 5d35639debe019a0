package rocketlog.interop;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** One command line: {@code id verb name=value ...}, values URL-encoded. */
final class Args {
    final String id;
    final String verb;
    private final Map<String, String> values = new HashMap<>();

    Args(String line) {
        String[] words = line.trim().split(" +");
        if (words.length < 2) {
            throw new IllegalArgumentException("want: id verb name=value ...; have: " + line);
        }
        id = words[0];
        verb = words[1];
        for (int i = 2; i < words.length; i++) {
            int eq = words[i].indexOf('=');
            values.put(words[i].substring(0, eq), URLDecoder.decode(words[i].substring(eq + 1), StandardCharsets.UTF_8));
        }
    }

    String need(String name) {
        String v = values.get(name);
        if (v == null) {
            throw new IllegalArgumentException(verb + " needs " + name);
        }
        return v;
    }

    String text(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    int number(String name, int otherwise) {
        String v = values.get(name);
        return v == null ? otherwise : Integer.parseInt(v);
    }

    long longNumber(String name, long otherwise) {
        String v = values.get(name);
        return v == null ? otherwise : Long.parseLong(v);
    }

    boolean flag(String name) {
        return "true".equals(values.get(name));
    }
}
