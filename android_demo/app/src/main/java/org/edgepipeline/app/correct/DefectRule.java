package org.edgepipeline.app.correct;

import java.util.Arrays;

/**
 * The rule that suspects pixels of a mosaic of being defective.
 *
 * <p>It is that of `edge_pipeline/raw/defects.py`; `edge_pipeline/raw/hot_pixels.py` explains it
 * and names its sources. All numbers are computed in the precisions that Python uses.
 */
final class DefectRule {
    private static final float LEAST_SCORE = 0.5f;
    private static final int WINDOW = 4;
    /** Square of 4.5 standard deviations of the noise. */
    private static final float NOISES = 20.25f;
    private static final float[] VISIBLE = {1.6e-3f, 2.4e-6f};
    private static final float SPREADS = 0.8f;
    private static final float USUAL = 2;
    private static final float ACCOMPLICE = 0.45f;
    private static final double HALO = 0.2;
    private static final double DARK_HALO = 0.3;
    private static final float SMALLEST = 1e-9f;
    private static final float SMALLEST_COST = 1e-3f;
    private static final int[][] DIRECTIONS = {{0, 1}, {1, 0}, {1, 1}, {1, -1}};

    private final Sensor sensor;
    /** Slope and offset of the noise of each phase. */
    private final float[] slope;
    private final float[] offset;
    /** The two lines of the fast test, for each phase: gain and limit in the camera's values. */
    private final float[][] lines = new float[4][];
    private final int[] left;
    private final int[] right;
    private final float[] same = new float[8];
    private final float[] around = new float[8];

    /**
     * Creates the rule for a sensor.
     *
     * @param sensor signals, of at least 12 rows and columns
     * @param slope slope of the noise of each phase
     * @param offset offset of the noise of each phase
     */
    DefectRule(Sensor sensor, float[] slope, float[] offset) {
        this.sensor = sensor;
        this.slope = slope;
        this.offset = offset;
        left = new int[sensor.width];
        right = new int[sensor.width];
        for (int column = 0; column < sensor.width; column++) {
            left[column] = Sensor.mirrored(column - 2, sensor.width);
            right[column] = Sensor.mirrored(column + 2, sensor.width);
        }
        for (int phase = 0; phase < 4; phase++) {
            float scale = sensor.scale[phase];
            float first = VISIBLE[0] / scale;
            float second = NOISES * slope[phase] / scale;
            lines[phase] = new float[] {
                first, VISIBLE[1] / (scale * scale) - first * sensor.black[phase],
                second, NOISES * offset[phase] / (scale * scale) - second * sensor.black[phase],
            };
        }
    }

    /** Adds the suspected pixels of a row. */
    void examine(int row, Suspects found) {
        int above = Sensor.mirrored(row - 2, sensor.height);
        int below = Sensor.mirrored(row + 2, sensor.height);
        for (int column = 0; column < sensor.width; column++) {
            int value = sensor.value(row, column);
            int up = sensor.value(above, column);
            int down = sensor.value(below, column);
            int before = sensor.value(row, left[column]);
            int after = sensor.value(row, right[column]);
            int one = Math.max(Math.min(up, down), Math.min(before, after));
            int other = Math.min(Math.max(up, down), Math.max(before, after));
            int low = Math.min(one, other);
            int beyond = Math.max(low - value, value - Math.max(one, other));
            if (beyond > 0 && isClear(row, column, beyond, low)) {
                examine(row, column, found);
            }
        }
    }

    private boolean isClear(int row, int column, int beyond, int low) {
        float[] line = lines[Sensor.phase(row, column)];
        float square = (float) beyond * beyond;
        return square > low * line[0] + line[1] && square > low * line[2] + line[3];
    }

    /** Returns the distance from the range of the four nearest, without the extreme ones. */
    private int excess(int row, int column) {
        int value = sensor.value(row, column);
        int up = sensor.value(row - 2, column);
        int down = sensor.value(row + 2, column);
        int before = sensor.value(row, column - 2);
        int after = sensor.value(row, column + 2);
        int one = Math.max(Math.min(up, down), Math.min(before, after));
        int other = Math.min(Math.max(up, down), Math.max(before, after));
        return Math.max(0, Math.max(Math.min(one, other) - value, value - Math.max(one, other)));
    }

    private void examine(int row, int column, Suspects found) {
        nearest(row, column, same);
        float base = (same[3] + same[4]) / 2;
        float middle = sensor.signal(row, column);
        boolean isHot = middle > base;
        float outer = isHot ? middle - same[6] : same[1] - middle;
        int phase = Sensor.phase(row, column);
        float level = Math.max(base, 0);
        float least = (float) Math.sqrt(Math.max(VISIBLE[0] * level + VISIBLE[1],
                NOISES * (slope[phase] * level + offset[phase])));
        float spread = SPREADS * (same[6] - same[1]);
        if (!(outer > least && outer > LEAST_SCORE * spread)) {
            return;
        }
        float score = Math.min(outer / Math.max(spread, SMALLEST), unusual(row, column, phase));
        if (!(score > LEAST_SCORE)) {
            return;
        }
        int accomplices = accomplices(row, column, base, middle - base);
        if (accomplices >= 0) {
            found.add(row * sensor.width + column, interpolated(row, column, base, middle - base),
                    score, isHot, accomplices > 0);
        }
    }

    /** Stores the eight nearest signals of the same colour in ascending order. */
    private void nearest(int row, int column, float[] sorted) {
        int count = 0;
        for (int down = -2; down <= 2; down += 2) {
            for (int across = -2; across <= 2; across += 2) {
                if (down != 0 || across != 0) {
                    sorted[count++] = sensor.signal(row + down, column + across);
                }
            }
        }
        Arrays.sort(sorted);
    }

    /** Returns the score against the second largest deviation of 80 pixels around. */
    private float unusual(int row, int column, int phase) {
        float most = 0;
        float second = 0;
        for (int down = -WINDOW; down <= WINDOW; down++) {
            for (int across = -WINDOW; across <= WINDOW; across++) {
                if (down != 0 || across != 0) {
                    float own = excess(row + down, column + across)
                            * sensor.scale[Sensor.phase(row + down, column + across)];
                    second = Math.max(second, Math.min(own, most));
                    most = Math.max(most, own);
                }
            }
        }
        return excess(row, column) * sensor.scale[phase] / Math.max(USUAL * second, SMALLEST);
    }

    /** Returns how many neighbours deviate as well; -1 if they are too many, or have a halo. */
    private int accomplices(int row, int column, float base, float deviation) {
        float sign = Math.signum(deviation);
        float height = Math.abs(deviation);
        float share = ACCOMPLICE * height;
        int count = 0;
        for (float one : same) {
            count += sign * (one - base) > share ? 1 : 0;
        }
        float halo = 0;
        float variance = 0;
        float scale = sensor.scale[Sensor.phase(row, column)];
        for (int down = -1; down <= 1; down++) {
            for (int across = -1; across <= 1; across++) {
                int phase = Sensor.phase(row + down, column + across);
                if (down == 0 && across == 0) {
                    continue;
                }
                nearest(row + down, column + across, around);
                float touching = sign * (sensor.signal(row + down, column + across)
                        - (around[3] + around[4]) / 2);
                // Light is in proportion after the white balance, a defect's charge is before.
                boolean isAccomplice = touching > share * Math.min(sensor.scale[phase] / scale, 1);
                count += isAccomplice ? 1 : 0;
                if (down == 0 || across == 0) {
                    halo += isAccomplice ? 0 : touching;
                    variance += slope[phase] * Math.max(base, 0) + offset[phase];
                }
            }
        }
        double limit = (sign > 0 ? HALO : DARK_HALO) * height + (float) Math.sqrt(variance);
        return halo < limit && count <= 1 ? count : -1;
    }

    /** Returns the interpolated signal: means of pairs plus the curvature of other colours. */
    private float interpolated(int row, int column, float base, float deviation) {
        float sign = Math.signum(deviation);
        float limit = ACCOMPLICE * Math.abs(deviation);
        float total = 0;
        float weights = 0;
        float[] near = new float[6];
        for (int[] step : DIRECTIONS) {
            for (int i = 0; i < 3; i++) {
                int far = i + 1;
                near[2 * i] = sensor.signal(row + far * step[0], column + far * step[1]);
                near[2 * i + 1] = sensor.signal(row - far * step[0], column - far * step[1]);
            }
            float curvature = (near[0] + near[1] - (near[4] + near[5])) / 4;
            float cost = Math.abs(near[3] - near[2]) + Math.abs(near[1] - near[0])
                    + Math.abs(curvature) + SMALLEST_COST;
            boolean isDefective =
                    sign * (near[2] - base) > limit || sign * (near[3] - base) > limit;
            float weight = isDefective ? 0 : 1 / (cost * cost);
            total += weight * ((near[2] + near[3]) / 2 + curvature);
            weights += weight;
        }
        return total / weights;
    }
}
