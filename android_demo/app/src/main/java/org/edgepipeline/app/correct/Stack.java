package org.edgepipeline.app.correct;

/** A square of signals, row by row. */
final class Stack {
    final int side;
    final float[] values;

    Stack(int side) {
        this(side, new float[side * side]);
    }

    Stack(int side, float[] values) {
        this.side = side;
        this.values = values;
    }

    /** Returns the middle. */
    Stack centre(int inner) {
        Stack centre = new Stack(inner);
        int margin = (side - inner) / 2;
        for (int row = 0; row < inner; row++) {
            System.arraycopy(values, (row + margin) * side + margin,
                    centre.values, row * inner, inner);
        }
        return centre;
    }

    /** Returns a copy without two pixels on each side, smoothed by five binomial taps. */
    Stack smooth() {
        int inner = side - 4;
        float[] lines = new float[inner * side];
        for (int i = 0; i < lines.length; i++) {
            lines[i] = binomial(values, i, side);
        }
        Stack smooth = new Stack(inner);
        for (int i = 0; i < smooth.values.length; i++) {
            smooth.values[i] = binomial(lines, i / inner * side + i % inner, 1);
        }
        return smooth;
    }

    private static float binomial(float[] from, int at, int step) {
        float sum = (from[at + step] + from[at + 3 * step]) * 4
                + from[at] + from[at + 4 * step] + 6 * from[at + 2 * step];
        return sum * (1f / 16);
    }

    /** Returns the derivatives down and right, without a pixel on each side. */
    Stack[] slopes() {
        int inner = side - 2;
        Stack[] slopes = {new Stack(inner), new Stack(inner)};
        for (int i = 0; i < inner * inner; i++) {
            int at = (i / inner + 1) * side + i % inner + 1;
            slopes[0].values[i] = 0.5f * (values[at + side] - values[at - side]);
            slopes[1].values[i] = 0.5f * (values[at + 1] - values[at - 1]);
        }
        return slopes;
    }

    /** Returns the middle displaced by a number of pixels, by cubic convolution. */
    Stack displaced(float down, float right, int inner) {
        int reach = (side - inner) / 2;
        int[] whole = new int[2];
        float[][] weights = new float[2][4];
        float[] moved = {down, right};
        for (int axis = 0; axis < 2; axis++) {
            int floor = (int) Math.floor(moved[axis]);
            whole[axis] = Math.max(1 - reach, Math.min(reach - 2, floor));
            Sampling.keys(Math.max(0, Math.min(1, moved[axis] - whole[axis])), weights[axis]);
        }
        int top = whole[0] + reach - 1;
        int left = whole[1] + reach - 1;
        Stack displaced = new Stack(inner);
        float[] line = new float[inner + 3];
        for (int row = 0; row < inner; row++) {
            for (int column = 0; column < line.length; column++) {
                int at = (row + top) * side + column + left;
                line[column] = weights[0][0] * values[at] + weights[0][1] * values[at + side]
                        + weights[0][2] * values[at + 2 * side]
                        + weights[0][3] * values[at + 3 * side];
            }
            for (int column = 0; column < inner; column++) {
                displaced.values[row * inner + column] = weights[1][0] * line[column]
                        + weights[1][1] * line[column + 1] + weights[1][2] * line[column + 2]
                        + weights[1][3] * line[column + 3];
            }
        }
        return displaced;
    }
}
