package org.edgepipeline.app.correct;

import java.util.ArrayList;
import java.util.List;

/**
 * Fits a displacement to those of blocks, and tells how well blocks predict each other.
 *
 * <p>It computes what `edge_pipeline/raw/displacement.py` computes.
 */
final class Fit {
    private static final int[][] MODELS = {{2}, {2, 3}, {0, 1, 2, 3}};
    private static final double BETTER = 0.95;
    private static final int ROUNDS = 10;
    private static final double CUT = 9;

    /** The displacement of a block: its centre, its value, and the inverse covariance. */
    static final class Block {
        final double row;
        final double column;
        final double down;
        final double right;
        /** Inverse covariance: of down, of both, of right. */
        final double[] weight;

        Block(double row, double column, double down, double right, double[] weight) {
            this.row = row;
            this.column = column;
            this.down = down;
            this.right = right;
            this.weight = weight;
        }

        /** Returns the weighted square of a vector. */
        double square(double y, double x) {
            return weight[0] * y * y + 2 * weight[1] * y * x + weight[2] * x * x;
        }
    }

    private final int[] size;

    /** Creates fits for a mosaic of a height and a width. */
    Fit(int[] size) {
        this.size = size;
    }

    /** Returns all terms, fitted to blocks. */
    Displacement all(List<Block> blocks) {
        return fitted(blocks, MODELS[MODELS.length - 1]);
    }

    /** Fits some terms by least squares in which outliers count less (Cauchy's weights). */
    Displacement fitted(List<Block> blocks, int[] used) {
        double[][][] terms = terms(blocks, used);
        double[] theta = new double[used.length];
        for (int round = 0; round < ROUNDS; round++) {
            double[][] normal = new double[used.length][used.length];
            double[] sums = new double[used.length];
            for (int n = 0; n < terms.length; n++) {
                add(blocks.get(n), terms[n], theta, normal, sums);
            }
            double trace = 0;
            for (int i = 0; i < used.length; i++) {
                trace += normal[i][i];
            }
            for (int i = 0; i < used.length; i++) {
                normal[i][i] += 1e-3 * trace / used.length;
            }
            theta = Linear.solve(normal, sums);
        }
        double[] found = new double[Displacement.TERMS];
        for (int i = 0; i < used.length; i++) {
            found[used[i]] = theta[i];
        }
        return new Displacement(found);
    }

    /** Adds a block to the normal equations of a round. */
    private static void add(
            Block block, double[][] terms, double[] theta, double[][] normal, double[] sums) {
        double y = block.down;
        double x = block.right;
        for (int i = 0; i < theta.length; i++) {
            y -= terms[0][i] * theta[i];
            x -= terms[1][i] * theta[i];
        }
        double share = 1 / (1 + block.square(y, x) / 4);
        for (int i = 0; i < theta.length; i++) {
            double first = share * (terms[0][i] * block.weight[0] + terms[1][i] * block.weight[1]);
            double second = share * (terms[0][i] * block.weight[1] + terms[1][i] * block.weight[2]);
            sums[i] += first * block.down + second * block.right;
            for (int j = 0; j < theta.length; j++) {
                normal[i][j] += first * terms[0][j] + second * terms[1][j];
            }
        }
    }

    /** Returns the matrices from terms to displacements, two rows for each block. */
    private double[][][] terms(List<Block> blocks, int[] used) {
        double[][][] terms = new double[blocks.size()][2][used.length];
        float[] found = new float[2];
        for (int i = 0; i < used.length; i++) {
            double[] one = new double[Displacement.TERMS];
            one[used[i]] = 1;
            Displacement unit = new Displacement(one);
            for (int n = 0; n < terms.length; n++) {
                unit.at(blocks.get(n).row, blocks.get(n).column, size, found);
                terms[n][0][i] = found[0];
                terms[n][1][i] = found[1];
            }
        }
        return terms;
    }

    /** Returns the terms that predict best; more terms must predict better. */
    int[] chosen(List<Block> blocks) {
        int[] chosen = MODELS[0];
        double best = prediction(blocks, chosen);
        for (int i = 1; i < MODELS.length; i++) {
            double prediction = prediction(blocks, MODELS[i]);
            if (prediction < BETTER * best) {
                best = prediction;
                chosen = MODELS[i];
            }
        }
        return chosen;
    }

    /** Fits each half of the blocks, and returns the largest share left of the other half. */
    double prediction(List<Block> blocks, int[] used) {
        double largest = 0;
        for (int half = 0; half < 2; half++) {
            List<List<Block>> halves = new ArrayList<>();
            halves.add(new ArrayList<>());
            halves.add(new ArrayList<>());
            for (int n = 0; n < blocks.size(); n++) {
                halves.get((n + half) % 2).add(blocks.get(n));
            }
            Displacement fit = fitted(halves.get(0), used);
            double after = 0;
            double before = 0;
            float[] found = new float[2];
            for (Block block : halves.get(1)) {
                fit.at(block.row, block.column, size, found);
                after += Math.min(CUT, block.square(block.down - found[0], block.right - found[1]));
                before += Math.min(CUT, block.square(block.down, block.right));
            }
            double count = halves.get(1).size();
            largest = Math.max(largest, after / count / Math.max(before / count, 1e-12));
        }
        return largest;
    }
}
