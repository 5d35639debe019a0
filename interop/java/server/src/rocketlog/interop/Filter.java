package rocketlog.interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.broker.filter.MessageEvaluationContext;
import org.apache.rocketmq.filter.expression.BooleanExpression;
import org.apache.rocketmq.filter.parser.SelectorParser;

/**
 * The Java broker's SQL92 filter as an oracle. A line of standard input is an expression and sets of properties, with tabs
 * between them; a set is names and values, with commas between them. All of it is in Base64. The answer is E when the
 * expression does not compile, else a letter for each set: T, F, N for null or X for an exception.
 */
public final class Filter {
    private Filter() {
    }

    public static void main(String[] argv) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, false, "US-ASCII");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(answer(line.split("\t", -1)));
            out.flush();
        }
    }

    private static String answer(String[] fields) {
        BooleanExpression expression;
        try {
            expression = SelectorParser.parse(text(fields[0]));
        } catch (Throwable e) {
            return "E";
        }
        StringBuilder verdicts = new StringBuilder();
        for (int i = 1; i < fields.length; i++) {
            verdicts.append(verdict(expression, properties(fields[i])));
        }
        return verdicts.toString();
    }

    private static char verdict(BooleanExpression expression, Map<String, String> properties) {
        try {
            Object v = expression.evaluate(new MessageEvaluationContext(properties));
            if (v == null) {
                return 'N';
            }
            return Boolean.TRUE.equals(v) ? 'T' : 'F';
        } catch (Throwable e) {
            return 'X';
        }
    }

    private static Map<String, String> properties(String field) {
        Map<String, String> m = new HashMap<>();
        if (field.isEmpty()) {
            return m;
        }
        String[] parts = field.split(",", -1);
        for (int i = 0; i + 1 < parts.length; i += 2) {
            m.put(text(parts[i]), text(parts[i + 1]));
        }
        return m;
    }

    private static String text(String base64) {
        return new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
    }
}
