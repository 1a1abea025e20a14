package org.edgepipeline.app.isp;

import org.edgepipeline.app.dng.Cfa;

/**
 * Estimates the light of saturated pixels from the channels that are not saturated.
 *
 * <p>It computes what `edge_pipeline/raw/highlights.py` computes, which explains the method.
 */
final class Highlights {
    /** Rows and columns around a part that `reconstruct` reads. */
    static final int MARGIN = 8;

    private static final double SATURATED = 0.985;
    private static final int BESIDE = 4;
    private static final int BAND_ROWS = 256;
    private static final int MEASURE_MARGIN = 2 * BESIDE + 2;
    private static final int GREEN = 1;

    private final Cfa cfa;
    /** Multiplier of each colour, of which the smallest is 1. */
    private final float[] gains;
    /** Mean difference of each colour and the others beside saturated areas. */
    private final float[] offsets;

    private Highlights(Cfa cfa, float[] gains, float[] offsets) {
        this.cfa = cfa;
        this.gains = gains;
        this.offsets = offsets;
    }

    /** Measures a mosaic in bands of rows; a channel saturates at its multiplier. */
    static Highlights measured(Light light, float[] gains) {
        Cfa cfa = light.cfa();
        Highlights own = new Highlights(cfa, gains, new float[3]);
        double[] totals = new double[3];
        long[] counts = new long[3];
        for (int top = 0; top < light.height(); top += BAND_ROWS) {
            int bottom = Math.min(top + BAND_ROWS, light.height());
            int first = Math.max(0, top - MEASURE_MARGIN);
            int last = Math.min(light.height(), bottom + MEASURE_MARGIN);
            Plane signal = light.part(first, last, 0, light.width());
            boolean[] flags = own.saturated(signal);
            if (flags == null) {
                continue;
            }
            own.clip(signal);
            own.addDifferences(signal, flags, top - first, bottom - first, totals, counts);
        }
        for (int colour = 0; colour < 3; colour++) {
            double mean = counts[colour] == 0 ? 0 : totals[colour] / counts[colour];
            own.offsets[colour] = (float) (colour == GREEN ? Math.max(mean, 0) : mean);
        }
        return own;
    }

    /** Replaces the saturated pixels of a part that begins on an even row and column. */
    void reconstruct(Plane signal) {
        boolean[] flags = saturated(signal);
        if (flags == null) {
            return;
        }
        clip(signal);
        float top = Math.max(gains[0], Math.max(gains[1], gains[2]));
        int[] order = ascending();
        for (int i = 0; i < 7; i++) {
            // Green comes last again, so that it is not below both others.
            estimate(signal, flags, i == 6 ? GREEN : order[i % 3], top);
        }
        whiten(signal, flags, top);
    }

    /** Returns the colours in the order of their multipliers. */
    private int[] ascending() {
        int[] order = {0, 1, 2};
        for (int end = 2; end > 0; end--) {
            for (int i = 0; i < end; i++) {
                if (gains[order[i]] > gains[order[i + 1]]) {
                    int swapped = order[i];
                    order[i] = order[i + 1];
                    order[i + 1] = swapped;
                }
            }
        }
        return order;
    }

    /** Returns which pixels are saturated; null for none. */
    private boolean[] saturated(Plane signal) {
        boolean[] flags = null;
        for (int row = 0; row < signal.height; row++) {
            int place = row * signal.width;
            float[] limits = {limit(row, 0), limit(row, 1)};
            for (int column = 0; column < signal.width; column++) {
                if (signal.values[place + column] >= limits[column & 1]) {
                    flags = flags == null ? new boolean[signal.values.length] : flags;
                    flags[place + column] = true;
                }
            }
        }
        return flags;
    }

    private float limit(int row, int column) {
        return (float) (SATURATED * gains[cfa.colour(row, column)]);
    }

    private void clip(Plane signal) {
        for (int i = 0; i < signal.values.length; i++) {
            float gain = gains[cfa.colour(i / signal.width, i % signal.width)];
            signal.values[i] = Math.min(signal.values[i], gain);
        }
    }

    private void estimate(Plane signal, boolean[] flags, int colour, float top) {
        for (int row = 0; row < signal.height; row++) {
            for (int column = 0; column < signal.width; column++) {
                int place = row * signal.width + column;
                if (flags[place] && cfa.colour(row, column) == colour) {
                    float estimate = opposed(signal, row, column) + offsets[colour];
                    signal.values[place] =
                            Math.max(Math.min(estimate, top), signal.values[place]);
                }
            }
        }
    }

    /** Returns the mean brightness of the other two colours in 3 x 3 pixels around a pixel. */
    private float opposed(Plane signal, int row, int column) {
        float across = (signal.reflected(row, column - 1) + signal.reflected(row, column + 1)) / 2;
        float down = (signal.reflected(row - 1, column) + signal.reflected(row + 1, column)) / 2;
        float one = across;
        float other = down;
        if (cfa.colour(row, column) != GREEN) {
            one = (across + down) / 2;
            other = (signal.reflected(row - 1, column - 1) + signal.reflected(row - 1, column + 1)
                    + signal.reflected(row + 1, column - 1)
                    + signal.reflected(row + 1, column + 1)) / 4;
        }
        double root = (Math.cbrt(Math.max(one, 0)) + Math.cbrt(Math.max(other, 0))) / 2;
        return (float) (root * root * root);
    }

    private void whiten(Plane signal, boolean[] flags, float top) {
        for (int row = 0; row < signal.height; row++) {
            for (int column = 0; column < signal.width; column++) {
                int place = row * signal.width + column;
                if (flags[place]) {
                    float share = share(flags, signal, row, column);
                    signal.values[place] += share * (top - signal.values[place]);
                }
            }
        }
    }

    /** Returns the share of saturated pixels of the other colour with fewer of them, 0 to 1. */
    private float share(boolean[] flags, Plane size, int row, int column) {
        float left = flag(flags, size, row, column - 1);
        float above = flag(flags, size, row - 1, column);
        float across = (left + flag(flags, size, row, column + 1)) / 2;
        float down = (above + flag(flags, size, row + 1, column)) / 2;
        if (cfa.colour(row, column) == GREEN) {
            return Math.min(across, down);
        }
        float corners = flag(flags, size, row - 1, column - 1)
                + flag(flags, size, row - 1, column + 1)
                + flag(flags, size, row + 1, column - 1)
                + flag(flags, size, row + 1, column + 1);
        return Math.min((across + down) / 2, corners / 4);
    }

    private static float flag(boolean[] flags, Plane size, int row, int column) {
        return flags[size.place(row, column)] ? 1 : 0;
    }

    /** Adds the differences of each colour and the others beside areas where it is saturated. */
    private void addDifferences(
            Plane signal, boolean[] flags, int first, int last, double[] totals, long[] counts) {
        for (int row = first; row < last; row++) {
            for (int column = 0; column < signal.width; column++) {
                int place = row * signal.width + column;
                if (!flags[place] && isBeside(flags, signal, row, column)
                        && !hasSaturatedNeighbours(flags, signal, row, column)) {
                    int colour = cfa.colour(row, column);
                    totals[colour] += signal.values[place] - opposed(signal, row, column);
                    counts[colour]++;
                }
            }
        }
    }

    private static boolean isBeside(boolean[] flags, Plane size, int row, int column) {
        int top = Math.max(row - 2 * BESIDE, row & 1);
        int left = Math.max(column - 2 * BESIDE, column & 1);
        int bottom = Math.min(row + 2 * BESIDE, size.height - 1);
        int right = Math.min(column + 2 * BESIDE, size.width - 1);
        for (int y = top; y <= bottom; y += 2) {
            for (int x = left; x <= right; x += 2) {
                if (flags[y * size.width + x]) {
                    return true;
                }
            }
        }
        return false;
    }

    private boolean hasSaturatedNeighbours(boolean[] flags, Plane size, int row, int column) {
        boolean isGreen = cfa.colour(row, column) == GREEN;
        for (int down = -1; down <= 1; down++) {
            for (int right = -1; right <= 1; right++) {
                boolean isCorner = down != 0 && right != 0;
                boolean isSelf = down == 0 && right == 0;
                if (!isSelf && !(isGreen && isCorner)
                        && flags[size.place(row + down, column + right)]) {
                    return true;
                }
            }
        }
        return false;
    }
}
