package org.edgepipeline.app.artifact;

import java.util.List;
import org.edgepipeline.app.errors.ArtifactException;

/** Places of an exchangeable weight in one file of an artifact, and how it is stored there. */
final class Constant {
    private static final long LARGEST_FILE = Integer.MAX_VALUE;
    private static final int LARGEST = 1 << 20;

    final String name;
    final int[] shape;
    final int[] axes;
    final boolean isHalf;
    final float scale;
    final boolean isRounded;
    final String file;
    final int[] offsets;

    Constant(Node node) throws ArtifactException {
        node.checkKeys("name", "shape", "axes", "dtype", "scale", "rounded", "file", "offsets");
        name = node.get("name").text();
        shape = numbers(node.get("shape"), 1, LARGEST);
        axes = numbers(node.get("axes"), 0, Math.max(0, shape.length - 1));
        isHalf = node.get("dtype").oneOf("float32", "float16").equals("float16");
        scale = node.get("scale").isNull() ? 1 : (float) node.get("scale").number();
        isRounded = node.get("rounded").flag(false);
        file = FileNames.of(node.get("file"));
        offsets = numbers(node.get("offsets"), 0, LARGEST_FILE);
        int seen = 0;
        for (int axis : axes) {
            seen |= 1 << axis;
        }
        boolean fits = axes.length == shape.length && seen == (1 << shape.length) - 1;
        if (!fits || shape.length > 8 || offsets.length == 0 || count() > LARGEST_FILE / 4) {
            throw node.fault("axes that fit the shape, and an offset");
        }
        if (!isPowerOfTwo(scale)) {
            throw node.get("scale").fault("a power of two from 2^-8 to 2^8");
        }
    }

    private static boolean isPowerOfTwo(float scale) {
        boolean isInRange = scale >= 1 / 256f && scale <= 256;
        return isInRange && Math.scalb(1f, Math.getExponent(scale)) == scale;
    }

    private static int[] numbers(Node node, long least, long most) throws ArtifactException {
        List<Node> items = node.items();
        int[] numbers = new int[items.size()];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (int) items.get(i).whole(least, most);
        }
        return numbers;
    }

    /** Returns the number of elements. */
    long count() {
        long count = 1;
        for (int size : shape) {
            count = Math.min(count * size, Integer.MAX_VALUE);
        }
        return count;
    }

    /** Returns the number of bytes at each offset. */
    long bytes() {
        return count() * (isHalf ? 2 : 4);
    }

    /** Returns whether the weight is stored as it is, apart from the order of its axes. */
    boolean isPlain() {
        return !isHalf && !isRounded && scale == 1;
    }
}
