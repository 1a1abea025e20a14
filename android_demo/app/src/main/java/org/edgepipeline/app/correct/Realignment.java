package org.edgepipeline.app.correct;

import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.isp.Progress;

/**
 * Samples red and blue where green shows the scene, in bands of rows.
 *
 * <p>It computes what `edge_pipeline/raw/realign.py` computes, which explains the method. A band
 * is written when the next one was read, because bands read beyond their edges.
 */
final class Realignment {
    private static final int BAND_ROWS = 64; // a multiple of Sampling.STRIP_ROWS
    private static final int INNER_REACH = 8;
    private static final int REACH = 15;

    private final Capture capture;
    private final Cells cells;
    private final int wide;
    private final double highest;

    private Realignment(Capture capture, Cells cells) {
        this.capture = capture;
        this.cells = cells;
        this.wide = cells.width / 2 + 2 * REACH;
        int most = 0;
        for (short value : capture.mosaic) {
            most = Math.max(most, value & 0xFFFF);
        }
        this.highest = Math.max(capture.white, most);
    }

    /**
     * Corrects red and blue of a capture in place.
     *
     * @param capture capture
     * @param cells its cells
     * @param red displacement of red; null to leave red as it is
     * @param blue displacement of blue; null to leave blue as it is
     * @param progress can end the work, after which the capture is half corrected
     */
    static void correct(Capture capture, Cells cells, Displacement red, Displacement blue,
            Progress progress) throws CancelledException {
        Realignment work = new Realignment(capture, cells);
        Displacement[] moved = {red, blue};
        float[][] pending = new float[2][];
        int height = cells.height / 2;
        for (int top = 0; top < height; top += BAND_ROWS) {
            progress.report(0, 0);
            int rows = Math.min(BAND_ROWS, height - top);
            float[][] planes = new float[4][];
            for (int plane = 0; plane < 4; plane++) {
                planes[plane] = cells.plane(plane, top - REACH, rows + 2 * REACH, -REACH,
                        work.wide);
            }
            work.store(pending, top - BAND_ROWS);
            float[][] green = work.green(planes);
            for (int i = 0; i < 2; i++) {
                pending[i] = moved[i] == null ? null
                        : work.moved(planes[3 * i], green, i, top, rows, moved[i]);
            }
            if (top + rows == height) {
                work.store(pending, top);
            }
        }
    }

    /** Returns green at all four pixels of cells; at red and blue, along the smoother axis. */
    private float[][] green(float[][] planes) {
        int high = planes[0].length / wide;
        float[][] green = {new float[high * wide], planes[1], planes[2], new float[high * wide]};
        float[] around = new float[4];
        for (int plane = 0; plane < 4; plane += 3) {
            for (int i = 0; i < high * wide; i++) {
                // The edge, one cell wide, repeats its neighbours.
                int row = Math.max(1, Math.min(high - 2, i / wide));
                int column = Math.max(1, Math.min(wide - 2, i % wide));
                Cells.greens(planes[1], planes[2], plane, row * wide + column, wide, around);
                float vertical = Math.abs(around[0] - around[1]) + 1e-3f;
                float horizontal = Math.abs(around[2] - around[3]) + 1e-3f;
                vertical *= vertical;
                horizontal *= horizontal;
                float mean = (around[0] + around[1]) * horizontal
                        + (around[2] + around[3]) * vertical;
                green[plane][i] = mean / (vertical + horizontal) * 0.5f;
            }
        }
        return green;
    }

    /** Returns rows of red (first 0) or blue (first 1) from `top` on, realigned. */
    private float[] moved(float[] colour, float[][] green, int first, int top, int rows,
            Displacement moved) {
        int outer = REACH - INNER_REACH;
        Sampling.Field field =
                new Sampling.Field(rows + 2 * INNER_REACH, cells.width / 2 + 2 * INNER_REACH);
        int[] size = {cells.height, cells.width};
        float[] found = new float[2];
        for (int i = 0; i < field.down.length; i++) {
            moved.at(first + 2 * (top - INNER_REACH + i / field.width),
                    first + 2 * (i % field.width - INNER_REACH), size, found);
            field.down[i] = found[0];
            field.right[i] = found[1];
        }
        Sampling.Field back = field.inner(INNER_REACH, -0.5f);
        float[] difference = Sampling.sample(green, 2, first, field, outer);
        for (int i = 0; i < difference.length; i++) {
            int at = (i / field.width + outer) * wide + i % field.width + outer;
            difference[i] = colour[at] - difference[i];
        }
        float[] values = Sampling.sample(new float[][] {difference}, 1, 0, back, INNER_REACH);
        for (int i = 0; i < values.length; i++) {
            int at = (i / back.width + REACH) * wide + i % back.width + REACH;
            values[i] += green[3 * first][at];
        }
        return values;
    }

    /** Stores rows of red and blue from a row of cells on. */
    private void store(float[][] pending, int top) {
        for (int first = 0; first < 2; first++) {
            float[] values = pending[first];
            int across = cells.width / 2;
            for (int i = 0; values != null && i < values.length; i++) {
                int row = 2 * (top + i / across) + first - cells.top;
                int column = 2 * (i % across) + first - cells.left;
                boolean isInside = row >= 0 && row < capture.height
                        && column >= 0 && column < capture.width;
                if (isInside) {
                    float value = values[i] / cells.scale[3 * first] + cells.black[3 * first];
                    double inside = Math.max(0, Math.min(highest, value));
                    capture.mosaic[row * capture.width + column] =
                            (short) (int) Math.rint(inside);
                }
            }
        }
    }
}
