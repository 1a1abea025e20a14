package org.edgepipeline.app.correct;

import java.util.Arrays;

/**
 * The noise of one colour of a mosaic: a variance of slope times the signal, plus offset.
 *
 * <p>It is measured in the flattest blocks, as `edge_pipeline/raw/noise_level.py` does, which
 * explains the method and names its sources.
 */
final class Noise {
    private static final int BLOCK = 8;
    private static final int LARGEST_SAMPLE = 1 << 18;
    private static final int BINS = 24;
    private static final int LEAST_BLOCKS = 4;
    private static final double FLATTEST = 0.2;
    private static final double QUANTILE_BIAS = 0.88;
    private static final double CLIPPED = 0.98;

    final double slope;
    final double offset;

    private Noise(double slope, double offset) {
        this.slope = slope;
        this.offset = offset;
    }

    /**
     * Measures a phase of a sensor, in at most a quarter of a million pixels.
     *
     * @param sensor signals
     * @param phase phase
     */
    static Noise measured(Sensor sensor, int phase) {
        double[][] blocks = blocks(sensor, phase);
        double[] means = new double[blocks.length];
        double[] deviations = new double[blocks.length];
        int count = 0;
        for (double[] block : blocks) {
            if (block[0] < CLIPPED && block[1] > 0) {
                means[count] = Math.max(block[0], 0);
                deviations[count++] = block[1];
            }
        }
        return fitted(Arrays.copyOf(means, count), Arrays.copyOf(deviations, count));
    }

    /** Returns the mean signals and the deviations of blocks in evenly spread rows. */
    private static double[][] blocks(Sensor sensor, int phase) {
        int down = ((sensor.height - phase / 2 + 1) / 2 - 2) / BLOCK;
        int across = ((sensor.width - phase % 2 + 1) / 2 - 2) / BLOCK;
        if (down < 1 || across < 1) {
            return new double[0][];
        }
        int rows = Math.min(down, Math.max(1, LARGEST_SAMPLE / (across * BLOCK * BLOCK)));
        double step = rows == 1 ? 0 : (down - 1.0) / (rows - 1);
        double[][] blocks = new double[rows * across][];
        int count = 0;
        int before = -1;
        for (int i = 0; i < rows; i++) {
            int top = rows > 1 && i == rows - 1 ? down - 1 : (int) (i * step);
            for (int column = 0; top != before && column < across; column++) {
                blocks[count++] = block(sensor, phase, top * BLOCK, column * BLOCK);
            }
            before = top;
        }
        return Arrays.copyOf(blocks, count);
    }

    private static double[] block(Sensor sensor, int phase, int top, int left) {
        int side = BLOCK + 2;
        double[] values = new double[side * side];
        for (int i = 0; i < values.length; i++) {
            int row = phase / 2 + 2 * (top + i / side);
            int column = phase % 2 + 2 * (left + i % side);
            values[i] = (sensor.value(row, column) - (double) sensor.black[phase])
                    * sensor.scale[phase];
        }
        double sum = 0;
        double mixed = 0;
        for (int row = 1; row <= BLOCK; row++) {
            for (int column = 1; column <= BLOCK; column++) {
                int at = row * side + column;
                sum += values[at];
                mixed += Math.abs(second(values, at - 1, side) - 2 * second(values, at, side)
                        + second(values, at + 1, side));
            }
        }
        // White noise of deviation s has a mean magnitude of 6 s sqrt(2 / pi) after the derivative.
        return new double[] {sum / (BLOCK * BLOCK),
            mixed / (BLOCK * BLOCK) * Math.sqrt(Math.PI / 2) / 6};
    }

    private static double second(double[] values, int at, int side) {
        return values[at - side] - 2 * values[at] + values[at + side];
    }

    private static Noise fitted(double[] means, double[] deviations) {
        double[][] bins = new double[BINS][deviations.length];
        double[] sums = new double[BINS];
        int[] counts = new int[BINS];
        for (int i = 0; i < means.length; i++) {
            int bin = Math.min((int) (Math.sqrt(means[i]) * BINS), BINS - 1);
            sums[bin] += means[i];
            bins[bin][counts[bin]++] = deviations[i];
        }
        double[][] points = new double[BINS][];
        int found = 0;
        for (int bin = 0; bin < BINS; bin++) {
            int count = counts[bin];
            if (count > 0 && (count >= LEAST_BLOCKS || count == means.length)) {
                double flattest = quantile(Arrays.copyOf(bins[bin], count)) / QUANTILE_BIAS;
                points[found++] = new double[] {sums[bin] / count, flattest * flattest,
                    Math.sqrt(count) / (flattest * flattest)}; // relative errors are equal
            }
        }
        if (found == 0) {
            double flattest = means.length == 0 ? 0 : quantile(deviations);
            return new Noise(0, flattest * flattest);
        }
        return line(Arrays.copyOf(points, found));
    }

    private static double quantile(double[] values) {
        Arrays.sort(values);
        double place = FLATTEST * (values.length - 1);
        int below = (int) place;
        int above = Math.min(below + 1, values.length - 1);
        return values[below] + (place - below) * (values[above] - values[below]);
    }

    /** Fits slope and offset, each at least 0, to levels, variances and weights. */
    private static Noise line(double[][] points) {
        double[] sums = new double[5]; // of w², w²x, w²x², w²y, w²xy
        for (double[] point : points) {
            double weight = point[2] * point[2];
            sums[0] += weight;
            sums[1] += weight * point[0];
            sums[2] += weight * point[0] * point[0];
            sums[3] += weight * point[1];
            sums[4] += weight * point[0] * point[1];
        }
        double middle = sums[1] / sums[0];
        double above = 0;
        double spread = 0;
        for (double[] point : points) { // about the mean level, so that nothing cancels
            double weight = point[2] * point[2];
            above += weight * (point[0] - middle) * point[1];
            spread += weight * (point[0] - middle) * (point[0] - middle);
        }
        double slope = spread > 0 ? above / spread : 0;
        double offset = sums[3] / sums[0] - slope * middle;
        if (slope < 0 || points.length == 1) {
            return new Noise(0, sums[3] / sums[0]);
        }
        return offset < 0 ? new Noise(sums[4] / sums[2], 0) : new Noise(slope, offset);
    }
}
