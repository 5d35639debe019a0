package rocketlog.interop;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** One line of output: a flat JSON object with the job's id and the event's name first. */
final class Event {
    private static final PrintStream OUT =
        new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, StandardCharsets.UTF_8);

    private final StringBuilder line = new StringBuilder(256);

    Event(String id, String name) {
        line.append('{');
        put("id", id);
        put("event", name);
    }

    Event put(String field, String value) {
        if (value == null) {
            return this;
        }
        field(field);
        quote(value);
        return this;
    }

    Event put(String field, long value) {
        field(field);
        line.append(value);
        return this;
    }

    Event put(String field, Map<String, String> values) {
        field(field);
        line.append('{');
        boolean first = true;
        for (Map.Entry<String, String> e : new java.util.TreeMap<>(values).entrySet()) {
            if (!first) {
                line.append(',');
            }
            first = false;
            quote(e.getKey());
            line.append(':');
            quote(e.getValue());
        }
        line.append('}');
        return this;
    }

    /** Writes the line whole: events of several threads never mix. */
    void print() {
        line.append("}\n");
        byte[] bytes = line.toString().getBytes(StandardCharsets.UTF_8);
        synchronized (OUT) {
            OUT.write(bytes, 0, bytes.length);
            OUT.flush();
        }
    }

    private void field(String name) {
        if (line.length() > 1) {
            line.append(',');
        }
        quote(name);
        line.append(':');
    }

    private void quote(String s) {
        line.append('"');
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (c == '"' || c == '\\') {
                line.append('\\').append(c);
            } else if (c < 0x20 || Character.isSurrogate(c)) {
                line.append(String.format("\\u%04x", (int) c));
            } else {
                line.append(c);
            }
        }
        line.append('"');
    }
}
