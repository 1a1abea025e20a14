package org.edgepipeline.app.isp;

import org.edgepipeline.app.tiles.Reflection;

/**
 * Light of at most 1 that begins on red, with even sizes; pixels around it are its reflection.
 *
 * <p>It computes what `Signal` of `edge_pipeline/raw/signal.py` computes.
 */
final class Signal {
    /** Number of rows above the picture, 0 or 1. */
    final int top;
    /** Number of columns left of the picture, 0 or 1. */
    final int left;
    private final Light light;
    private final int[] rows;
    private final int[] columns;

    /**
     * Creates the signal of a capture's light.
     *
     * @param light light
     * @param multiple even number that divides the sizes
     */
    Signal(Light light, int multiple) {
        this.light = light;
        this.top = light.cfa().redRow;
        this.left = light.cfa().redColumn;
        this.rows = padded(light.height(), top, multiple);
        this.columns = padded(light.width(), left, multiple);
    }

    private Signal(Signal own, int height, int width) {
        this.light = own.light;
        this.top = own.top;
        this.left = own.left;
        this.rows = longer(own.rows, height);
        this.columns = longer(own.columns, width);
    }

    int height() {
        return rows.length;
    }

    int width() {
        return columns.length;
    }

    /** Returns the signal extended by reflection, below and on the right, to at least a size. */
    Signal grown(int height, int width) {
        return new Signal(this, height, width);
    }

    private static int[] padded(int size, int before, int multiple) {
        int[] indices = new int[(before + size + multiple - 1) / multiple * multiple];
        for (int i = 0; i < indices.length; i++) {
            indices[i] = Reflection.of(i - before, size);
        }
        return indices;
    }

    private static int[] longer(int[] indices, int size) {
        int[] result = new int[Math.max(size, indices.length)];
        for (int i = 0; i < result.length; i++) {
            result[i] = indices[Reflection.of(i, indices.length)];
        }
        return result;
    }

    /**
     * Packs a window into four planes: R, G on red rows, G on blue rows, B.
     *
     * @param firstRow first row of the window in packed pixels; may lie outside the signal
     * @param height height of the window in packed pixels
     * @param firstColumn first column in packed pixels; may lie outside the signal
     * @param width width in packed pixels
     * @param packed array of 4 x `fullHeight` x `fullWidth` numbers, for the window
     * @param place sizes of `packed` and the window's place in it: height, width, row, column
     */
    void pack(int firstRow, int height, int firstColumn, int width, float[] packed, int[] place) {
        int[] down = indices(rows, 2 * firstRow, 2 * height);
        int[] across = indices(columns, 2 * firstColumn, 2 * width);
        int y = least(down);
        int x = least(across);
        Plane part = light.part(y, most(down) + 1, x, most(across) + 1);
        int size = place[0] * place[1];
        for (int row = 0; row < 2 * height; row++) {
            int from = (down[row] - y) * part.width - x;
            int to = (row & 1) * 2 * size + (place[2] + row / 2) * place[1] + place[3];
            for (int column = 0; column < 2 * width; column++) {
                float value = part.values[from + across[column]];
                packed[to + (column & 1) * size + column / 2] = Math.min(value, 1);
            }
        }
    }

    private static int[] indices(int[] axis, int start, int count) {
        int[] result = new int[count];
        for (int i = 0; i < count; i++) {
            result[i] = axis[Reflection.of(start + i, axis.length)];
        }
        return result;
    }

    private static int least(int[] numbers) {
        int least = Integer.MAX_VALUE;
        for (int number : numbers) {
            least = Math.min(least, number);
        }
        return least;
    }

    private static int most(int[] numbers) {
        int most = Integer.MIN_VALUE;
        for (int number : numbers) {
            most = Math.max(most, number);
        }
        return most;
    }
}
