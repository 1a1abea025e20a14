package org.edgepipeline.app.runner;

/** An array of float32 numbers. */
public final class Tensor {
    /** Size of each axis. */
    public final int[] shape;
    /** Numbers in row-major order. */
    public final float[] values;

    /**
     * Creates a tensor.
     *
     * @param shape size of each axis
     * @param values numbers in row-major order, as many as the shape has
     */
    public Tensor(int[] shape, float[] values) {
        if (count(shape) != values.length) {
            throw new IllegalArgumentException(
                    values.length + " numbers do not fit the shape " + text(shape));
        }
        this.shape = shape;
        this.values = values;
    }

    /** Returns the number of elements of a shape. */
    public static int count(int[] shape) {
        int count = 1;
        for (int size : shape) {
            count = Math.multiplyExact(count, size);
        }
        return count;
    }

    /** Returns a shape as text, such as 1x4x256x256. */
    public static String text(int[] shape) {
        StringBuilder text = new StringBuilder();
        for (int size : shape) {
            text.append(text.length() == 0 ? "" : "x").append(size);
        }
        return text.toString();
    }
}
