package org.edgepipeline.app.correct;

/** Solves small linear systems. */
final class Linear {
    private Linear() {}

    /** Returns the solution of a regular system, by elimination with row pivots. */
    static double[] solve(double[][] matrix, double[] right) {
        int size = right.length;
        double[][] rows = new double[size][];
        for (int i = 0; i < size; i++) {
            rows[i] = java.util.Arrays.copyOf(matrix[i], size + 1);
            rows[i][size] = right[i];
        }
        for (int step = 0; step < size; step++) {
            int pivot = step;
            for (int i = step + 1; i < size; i++) {
                pivot = Math.abs(rows[i][step]) > Math.abs(rows[pivot][step]) ? i : pivot;
            }
            double[] swapped = rows[step];
            rows[step] = rows[pivot];
            rows[pivot] = swapped;
            for (int i = step + 1; i < size; i++) {
                double factor = rows[i][step] / rows[step][step];
                for (int j = step; j <= size; j++) {
                    rows[i][j] -= factor * rows[step][j];
                }
            }
        }
        double[] found = new double[size];
        for (int i = size - 1; i >= 0; i--) {
            double sum = rows[i][size];
            for (int j = i + 1; j < size; j++) {
                sum -= rows[i][j] * found[j];
            }
            found[i] = sum / rows[i][i];
        }
        return found;
    }

    /** Returns the inverse of a regular symmetric matrix. */
    static double[][] inverse(double[][] matrix) {
        double[][] inverse = new double[matrix.length][];
        for (int i = 0; i < matrix.length; i++) {
            double[] unit = new double[matrix.length];
            unit[i] = 1;
            inverse[i] = solve(matrix, unit);
        }
        return inverse;
    }
}
