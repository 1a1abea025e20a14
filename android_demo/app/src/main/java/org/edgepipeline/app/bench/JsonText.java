package org.edgepipeline.app.bench;

import java.util.Collection;
import java.util.Map;

/** Writes maps, collections, texts, numbers, booleans and null as JSON. Source: RFC 8259. */
final class JsonText {
    private JsonText() {}

    /**
     * Returns a value as JSON in one line.
     *
     * @param value maps with text keys, collections, texts, finite numbers, booleans and null
     */
    static String of(Object value) {
        StringBuilder text = new StringBuilder();
        write(value, text);
        return text.toString();
    }

    private static void write(Object value, StringBuilder text) {
        if (value instanceof Map) {
            char before = '{';
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                text.append(before);
                quote(String.valueOf(entry.getKey()), text);
                text.append(':');
                write(entry.getValue(), text);
                before = ',';
            }
            text.append(before == '{' ? "{}" : "}");
        } else if (value instanceof Collection) {
            char before = '[';
            for (Object item : (Collection<?>) value) {
                text.append(before);
                write(item, text);
                before = ',';
            }
            text.append(before == '[' ? "[]" : "]");
        } else if (value instanceof CharSequence) {
            quote(value.toString(), text);
        } else {
            text.append(plain(value));
        }
    }

    private static String plain(Object value) {
        boolean isKnown = value == null || value instanceof Boolean || value instanceof Integer
                || value instanceof Long || (value instanceof Double
                        && Math.abs((Double) value) <= Double.MAX_VALUE);
        if (!isKnown) {
            throw new IllegalArgumentException(value + " has no JSON");
        }
        return String.valueOf(value);
    }

    private static void quote(String value, StringBuilder text) {
        text.append('"');
        for (int i = 0; i < value.length(); i++) {
            char letter = value.charAt(i);
            if (letter == '"' || letter == '\\') {
                text.append('\\').append(letter);
            } else if (letter < ' ' || Character.isSurrogate(letter) || letter > 0x7E) {
                text.append(String.format("\\u%04x", (int) letter));
            } else {
                text.append(letter);
            }
        }
        text.append('"');
    }
}
