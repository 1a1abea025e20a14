package org.edgepipeline.app.artifact;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Parses JSON into maps, lists, strings, numbers, booleans and null. Source: RFC 8259.
 *
 * <p>Nesting is limited, and a key that occurs twice is an error, so no text has two meanings.
 */
final class Json {
    private static final int DEEPEST = 32;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /**
     * Parses a text.
     *
     * @param text JSON
     * @return the value
     * @throws IllegalArgumentException if the text is not JSON; the message names the place
     */
    static Object parse(String text) {
        Json parser = new Json(text);
        Object value = parser.value(0);
        parser.space();
        if (parser.at < text.length()) {
            throw parser.fault("text behind the end");
        }
        return value;
    }

    private IllegalArgumentException fault(String what) {
        return new IllegalArgumentException(what + " at character " + at);
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private char next() {
        if (at >= text.length()) {
            throw fault("an unexpected end");
        }
        return text.charAt(at);
    }

    private void expect(String token) {
        if (!text.startsWith(token, at)) {
            throw fault("something else than " + token);
        }
        at += token.length();
    }

    private Object value(int depth) {
        if (depth > DEEPEST) {
            throw fault("nesting deeper than " + DEEPEST);
        }
        space();
        switch (next()) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                expect("true");
                return Boolean.TRUE;
            case 'f':
                expect("false");
                return Boolean.FALSE;
            case 'n':
                expect("null");
                return null;
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> found = new LinkedHashMap<>();
        at++;
        space();
        while (next() != '}') {
            if (!found.isEmpty()) {
                expect(",");
                space();
            }
            String key = string();
            space();
            expect(":");
            if (found.containsKey(key)) {
                throw fault("a second key " + key);
            }
            found.put(key, value(depth + 1));
            space();
        }
        at++;
        return found;
    }

    private List<Object> array(int depth) {
        List<Object> found = new ArrayList<>();
        at++;
        space();
        while (next() != ']') {
            if (!found.isEmpty()) {
                expect(",");
            }
            found.add(value(depth + 1));
            space();
        }
        at++;
        return found;
    }

    private String string() {
        expect("\"");
        StringBuilder found = new StringBuilder();
        while (next() != '"') {
            char letter = text.charAt(at++);
            if (letter < ' ') {
                throw fault("a control character");
            }
            found.append(letter == '\\' ? escaped() : letter);
        }
        at++;
        return found.toString();
    }

    private char escaped() {
        char kind = next();
        at++;
        int place = "\"\\/bfnrt".indexOf(kind);
        if (place >= 0) {
            return "\"\\/\b\f\n\r\t".charAt(place);
        }
        if (kind != 'u' || at + 4 > text.length()) {
            throw fault("an unknown escape");
        }
        int code = 0;
        for (int i = 0; i < 4; i++) {
            int digit = Character.digit(text.charAt(at++), 16);
            if (digit < 0) {
                throw fault("an unknown escape");
            }
            code = code << 4 | digit;
        }
        return (char) code;
    }

    private Double number() {
        int start = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        try {
            double value = Double.parseDouble(text.substring(start, at));
            if (Double.isInfinite(value)) {
                throw fault("a number that is too large");
            }
            return value;
        } catch (NumberFormatException error) {
            throw fault("no value");
        }
    }
}
