package org.edgepipeline.app.artifact;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.ArtifactException;

/** A value in a JSON file with its place, which a message names if the value is not as expected. */
final class Node {
    private static final double LARGEST_INTEGER = 1L << 53;

    private final String file;
    private final String place;
    private final Object value;

    private Node(String file, String place, Object value) {
        this.file = file;
        this.place = place;
        this.value = value;
    }

    /** Parses the content of a file. */
    static Node parse(String file, String text) throws ArtifactException {
        try {
            return new Node(file, "", Json.parse(text));
        } catch (IllegalArgumentException error) {
            throw new ArtifactException(file + " is not JSON: " + error.getMessage() + ".");
        }
    }

    ArtifactException fault(String expected) {
        String where = place.isEmpty() ? "its top" : place;
        return new ArtifactException(
                file + " does not match the schema at " + where + ": expected " + expected + ".");
    }

    private Map<?, ?> map() throws ArtifactException {
        if (!(value instanceof Map)) {
            throw fault("an object");
        }
        return (Map<?, ?>) value;
    }

    /** Throws if the object has a key that is not among those given. */
    void checkKeys(String... known) throws ArtifactException {
        for (Object key : map().keySet()) {
            if (!Arrays.asList(known).contains(key)) {
                throw fault("no key " + key);
            }
        }
    }

    boolean isNull() {
        return value == null;
    }

    boolean isObject() {
        return value instanceof Map;
    }

    boolean isText() {
        return value instanceof String;
    }

    boolean isNumber() {
        return value instanceof Double;
    }

    /** Returns the value of a key; a node of null if there is none. */
    Node get(String key) throws ArtifactException {
        return new Node(file, place.isEmpty() ? key : place + "." + key, map().get(key));
    }

    /** Returns the values of an object by key, in the order of the file. */
    Map<String, Node> entries() throws ArtifactException {
        Map<String, Node> found = new LinkedHashMap<>();
        for (Object key : map().keySet()) {
            found.put((String) key, get((String) key));
        }
        return found;
    }

    /** Returns the items of a list; empty for null. */
    List<Node> items() throws ArtifactException {
        List<Node> found = new ArrayList<>();
        if (value == null) {
            return found;
        }
        if (!(value instanceof List)) {
            throw fault("a list");
        }
        List<?> list = (List<?>) value;
        for (int i = 0; i < list.size(); i++) {
            found.add(new Node(file, place + "[" + i + "]", list.get(i)));
        }
        return found;
    }

    String text() throws ArtifactException {
        if (!isText()) {
            throw fault("a text");
        }
        return (String) value;
    }

    /** Returns the text, or the given one for null. */
    String text(String missing) throws ArtifactException {
        return value == null ? missing : text();
    }

    double number() throws ArtifactException {
        if (!isNumber()) {
            throw fault("a number");
        }
        return (Double) value;
    }

    /** Returns a whole number in a range. */
    long whole(long least, long most) throws ArtifactException {
        double number = number();
        boolean fits = number == Math.rint(number) && Math.abs(number) <= LARGEST_INTEGER
                && number >= least && number <= most;
        if (!fits) {
            throw fault("a whole number from " + least + " to " + most);
        }
        return (long) number;
    }

    boolean flag(boolean missing) throws ArtifactException {
        if (value == null) {
            return missing;
        }
        if (!(value instanceof Boolean)) {
            throw fault("true or false");
        }
        return (Boolean) value;
    }

    /** Returns the text, which must be one of those given. */
    String oneOf(String... known) throws ArtifactException {
        String text = text();
        if (!Arrays.asList(known).contains(text)) {
            throw fault("one of " + String.join(", ", known));
        }
        return text;
    }
}
