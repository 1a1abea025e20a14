package org.edgepipeline.app.correct;

/**
 * One block of a colour plane with strong edges, of which a displacement is measured.
 *
 * <p>It computes what `_System` of `edge_pipeline/raw/fringes.py` computes for a block.
 */
final class EdgeBlock {
    /** Rows and columns of a block, in pixels of a colour plane. */
    static final int SIDE = 32;
    /** Rows and columns of a plane around a block that are read too. */
    static final int BORDER = 11;

    private static final double SATURATED = 0.95;
    private static final int SPREAD = 4;
    private static final double LEAST_EXPLAINED = 0.6;
    private static final double LEAST_GAIN = 0.3;
    private static final double LARGEST_GAIN = 3;
    private static final double LEAST_SHARE = 0.5;
    private static final double LEAST_GRADIENT = 2e-3;
    private static final double LEAST_CURVATURE = 0.2;
    private static final double COLOURED = 0.15;
    private static final double CORRELATED = 8;

    private final Stack colour;
    private final boolean[] usable = new boolean[SIDE * SIDE];
    private final double share;
    private final Stack[][] terms = new Stack[2][3];
    private final double[][] normal = new double[3][3];
    private final double row;
    private final double column;

    /**
     * Reads a block.
     *
     * @param cells the capture
     * @param plane 0 for red or 3 for blue
     * @param top row of the block in the plane
     * @param left column of the block in the plane
     */
    EdgeBlock(Cells cells, int plane, int top, int left) {
        int side = SIDE + 2 * BORDER;
        int y = top - BORDER;
        int x = left - BORDER;
        float[] first = cells.plane(1, y, side, x, side);
        float[] second = cells.plane(2, y, side, x, side);
        Stack own = new Stack(side, cells.plane(plane, y, side, x, side)).centre(side - 2);
        Stack green = new Stack(side - 2);
        float[] greens = new float[4];
        for (int i = 0; i < green.values.length; i++) {
            int at = (i / green.side + 1) * side + i % green.side + 1;
            Cells.greens(first, second, plane, at, side, greens);
            green.values[i] = (greens[0] + greens[1] + greens[2] + greens[3]) * 0.25f;
        }
        row = plane / 3 + 2 * (top + (SIDE - 1) / 2.0);
        column = plane / 3 + 2 * (left + (SIDE - 1) / 2.0);
        colour = own.smooth();
        share = markUsable(own, green);
        Stack[] slopes = green.smooth().centre(SIDE + 4).slopes();
        for (int axis = 0; axis < 2; axis++) {
            Stack[] curves = slopes[axis].slopes();
            terms[axis] = new Stack[] {slopes[axis].centre(SIDE), curves[0], curves[1]};
            for (int i = 0; i < 3; i++) {
                for (int j = 0; j < 3; j++) {
                    normal[i][j] += sum(terms[axis][i], terms[axis][j]);
                }
            }
        }
    }

    /** Marks pixels without a saturated value near; returns their share. */
    private double markUsable(Stack own, Stack green) {
        int margin = (own.side - SIDE) / 2;
        int count = 0;
        for (int i = 0; i < usable.length; i++) {
            boolean isSaturated = false;
            for (int down = -SPREAD; down <= SPREAD && !isSaturated; down++) {
                int line = (i / SIDE + margin + down) * own.side + i % SIDE + margin;
                for (int at = line - SPREAD; at <= line + SPREAD; at++) {
                    isSaturated |= Math.max(own.values[at], green.values[at]) > (float) SATURATED;
                }
            }
            usable[i] = !isSaturated;
            count += isSaturated ? 0 : 1;
        }
        return (double) count / usable.length;
    }

    /** Returns the sum of the products of usable pixels. */
    private double sum(Stack first, Stack second) {
        double sum = 0;
        for (int i = 0; i < usable.length; i++) {
            sum += usable[i] ? (double) first.values[i] * second.values[i] : 0;
        }
        return sum;
    }

    /**
     * Returns the displacement of the block after another one was removed; null if it is unclear.
     *
     * @param removed displacement that is removed first
     * @param size height and width of the mosaic
     * @param largest largest plausible displacement in mosaic pixels
     */
    Fit.Block measured(Displacement removed, int[] size, double largest) {
        float[] moved = new float[2];
        removed.at(row, column, size, moved);
        Stack[] seen = colour.displaced(-0.5f * moved[0], -0.5f * moved[1], SIDE + 2).slopes();
        double energy = 0;
        double[] right = new double[3];
        for (int axis = 0; axis < 2; axis++) {
            energy += sum(seen[axis], seen[axis]);
            for (int i = 0; i < 3; i++) {
                right[i] += sum(terms[axis][i], seen[axis]);
            }
        }
        double least = LEAST_GRADIENT * SIDE;
        boolean isClear = share > LEAST_SHARE && energy > share * least * least
                && normal[1][1] + normal[2][2]
                        > LEAST_CURVATURE * LEAST_CURVATURE * normal[0][0];
        return isClear ? solved(right, energy, largest) : null;
    }

    /** Solves the equations for gain and gain times half the displacement. */
    private Fit.Block solved(double[] right, double energy, double largest) {
        double ridge = 1e-6 * (normal[0][0] + normal[1][1] + normal[2][2]);
        double[][] matrix = new double[3][];
        for (int i = 0; i < 3; i++) {
            matrix[i] = normal[i].clone();
            matrix[i][i] += ridge;
        }
        double[][] inverse = Linear.inverse(matrix);
        double[] solution = new double[3];
        double left = energy;
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++) {
                solution[i] += inverse[i][j] * right[j];
            }
            left -= solution[i] * right[i];
        }
        left = Math.max(left, 0);
        double gain = solution[0];
        boolean isKept = left < (1 - LEAST_EXPLAINED) * energy
                && gain > LEAST_GAIN && gain < LARGEST_GAIN
                && Math.max(Math.abs(solution[1]), Math.abs(solution[2]))
                        < Math.abs(gain) * largest / 2;
        if (!isKept) {
            return null;
        }
        double variance = left * CORRELATED / (2 * SIDE * SIDE) / gain / gain;
        // From plane pixels to mosaic pixels, which are half as large.
        double a = 4 * (inverse[1][1] * variance + COLOURED * COLOURED);
        double b = 4 * inverse[1][2] * variance;
        double c = 4 * (inverse[2][2] * variance + COLOURED * COLOURED);
        double determinant = a * c - b * b;
        double[] weight = {c / determinant, -b / determinant, a / determinant};
        return new Fit.Block(row, column, 2 * solution[1] / gain, 2 * solution[2] / gain, weight);
    }
}
