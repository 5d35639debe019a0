package rocketlog.interop;

import java.nio.charset.StandardCharsets;
import java.util.Random;
import java.util.zip.CRC32;

/** Message bodies: the message's name, a space, and filling that no compression makes small. */
final class Body {
    private Body() {
    }

    static byte[] make(String name, int size) {
        byte[] head = (name + " ").getBytes(StandardCharsets.UTF_8);
        byte[] body = new byte[Math.max(size, head.length)];
        new Random(name.hashCode()).nextBytes(body);
        System.arraycopy(head, 0, body, 0, head.length);
        return body;
    }

    /** The name that {@link #make} put in front, or all of a short body that it did not make. */
    static String name(byte[] body) {
        int end = 0;
        while (end < body.length && end < 128 && body[end] != ' ') {
            end++;
        }
        return new String(body, 0, end, StandardCharsets.UTF_8);
    }

    static long crc(byte[] body) {
        CRC32 crc = new CRC32();
        crc.update(body);
        return crc.getValue();
    }
}
