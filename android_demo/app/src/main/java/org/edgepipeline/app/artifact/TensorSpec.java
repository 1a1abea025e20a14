package org.edgepipeline.app.artifact;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.edgepipeline.app.errors.ArtifactException;

/** One input or output of a program: its name and the sizes of its axes, some of them free. */
public final class TensorSpec {
    private static final Pattern FREE =
            Pattern.compile("(?:([1-9][0-9]{0,5})\\*)?([a-z][a-z0-9_]*)");
    private static final int LARGEST = 1 << 24;

    /** Name of the tensor. */
    public final String name;
    /** Element type by its NumPy name: float32, int64, int32 or bool. */
    public final String dtype;
    /** Meaning of the axes, such as NCHW; empty if it is not stated. */
    public final String layout;
    /** Fixed size or factor of a free size, by axis. */
    private final int[] numbers;
    /** Letter of a free size, or null, by axis. */
    private final String[] letters;

    TensorSpec(Node node) throws ArtifactException {
        node.checkKeys("name", "shape", "dtype", "layout", "range", "meaning");
        name = node.get("name").text();
        Node type = node.get("dtype");
        dtype = type.isNull() ? "float32" : type.oneOf("float32", "int64", "int32", "bool");
        layout = node.get("layout").text("");
        List<Node> sizes = node.get("shape").items();
        numbers = new int[sizes.size()];
        letters = new String[sizes.size()];
        for (int i = 0; i < numbers.length; i++) {
            Node size = sizes.get(i);
            if (!size.isText()) {
                numbers[i] = (int) size.whole(1, LARGEST);
                continue;
            }
            Matcher match = FREE.matcher(size.text());
            if (!match.matches()) {
                throw size.fault("a size, a letter like h, or a multiple like 16*h");
            }
            numbers[i] = match.group(1) == null ? 1 : Integer.parseInt(match.group(1));
            letters[i] = match.group(2);
        }
    }

    /** Returns the number of axes. */
    public int rank() {
        return numbers.length;
    }

    /** Returns whether the size of an axis is free. */
    public boolean isFree(int axis) {
        return letters[axis] != null;
    }

    /** Returns the size of a fixed axis, or the factor of a free one. */
    public int size(int axis) {
        return numbers[axis];
    }

    /**
     * Returns whether a shape fits.
     *
     * @param shape shape of an array
     * @param sizes values of the free sizes known so far, by letter; new ones are added to it
     */
    public boolean fits(int[] shape, Map<String, Integer> sizes) {
        if (shape.length != numbers.length) {
            return false;
        }
        for (int i = 0; i < shape.length; i++) {
            if (letters[i] == null) {
                if (shape[i] != numbers[i]) {
                    return false;
                }
                continue;
            }
            int free = shape[i] / numbers[i];
            Integer known = sizes.get(letters[i]);
            if (free < 1 || shape[i] % numbers[i] != 0 || (known != null && known != free)) {
                return false;
            }
            sizes.put(letters[i], free);
        }
        return true;
    }

    /** Returns the shape with the free sizes replaced by values, by letter. */
    public int[] sized(Map<String, Integer> sizes) {
        int[] shape = numbers.clone();
        for (int i = 0; i < shape.length; i++) {
            if (letters[i] != null) {
                shape[i] *= sizes.get(letters[i]);
            }
        }
        return shape;
    }

    /** Returns the shape as text for messages, such as 1x4x16*hx16*w. */
    public String shapeText() {
        List<String> parts = new ArrayList<>();
        for (int i = 0; i < numbers.length; i++) {
            String factor = numbers[i] == 1 ? "" : numbers[i] + "*";
            parts.add(letters[i] == null ? String.valueOf(numbers[i]) : factor + letters[i]);
        }
        return String.join("x", parts);
    }
}
