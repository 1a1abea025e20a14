package org.edgepipeline.app.correct;

import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.tiles.Reflection;

/**
 * A capture's mosaic from red on, with even sizes, as four planes of signals.
 *
 * <p>Planes are numbered 0 for red, 1 and 2 for green on red and on blue rows, 3 for blue. It
 * contains what `Scaled` of `edge_pipeline/raw/scaled.py` contains.
 */
final class Cells {
    /** Rows of the padded mosaic above that of the capture, 0 or 1. */
    final int top;
    /** Columns of the padded mosaic on the left of that of the capture, 0 or 1. */
    final int left;
    /** Height of the padded mosaic, even. */
    final int height;
    /** Width of the padded mosaic, even. */
    final int width;
    final float[] black = new float[4];
    final float[] scale = new float[4];
    private final Capture capture;
    private final int[] rows;
    private final int[] columns;

    Cells(Capture capture) {
        this.capture = capture;
        top = capture.cfa.redRow;
        left = capture.cfa.redColumn;
        height = (top + capture.height + 1) / 2 * 2;
        width = (left + capture.width + 1) / 2 * 2;
        rows = Reflection.places(-top, height, capture.height);
        columns = Reflection.places(-left, width, capture.width);
        for (int plane = 0; plane < 4; plane++) {
            black[plane] = (float) capture.black[plane];
            scale[plane] = (float) Sensor.scale(capture, plane);
        }
    }

    /**
     * Returns the signals of cells, row by row; cells outside repeat those of the edge.
     *
     * @param plane number of the plane
     * @param firstRow first row of cells
     * @param high number of rows
     * @param firstColumn first column of cells
     * @param wide number of columns
     */
    float[] plane(int plane, int firstRow, int high, int firstColumn, int wide) {
        float[] values = new float[high * wide];
        int[] across = new int[wide];
        for (int i = 0; i < wide; i++) {
            across[i] = columns[2 * inside(firstColumn + i, width / 2) + plane % 2];
        }
        for (int i = 0; i < high; i++) {
            int line = rows[2 * inside(firstRow + i, height / 2) + plane / 2] * capture.width;
            for (int j = 0; j < wide; j++) {
                int value = capture.mosaic[line + across[j]] & 0xFFFF;
                values[i * wide + j] = (value - black[plane]) * scale[plane];
            }
        }
        return values;
    }

    private static int inside(int index, int size) {
        return Math.max(0, Math.min(size - 1, index));
    }

    /**
     * Returns the four greens around a pixel of red or blue: above, below, left, right.
     *
     * @param first green on red rows
     * @param second green on blue rows
     * @param plane 0 for red or 3 for blue
     * @param at place of the pixel's cell, not at an edge
     * @param wide number of columns
     * @param greens receives the signals
     */
    static void greens(
            float[] first, float[] second, int plane, int at, int wide, float[] greens) {
        if (plane == 0) {
            greens[0] = second[at - wide];
            greens[1] = second[at];
            greens[2] = first[at - 1];
            greens[3] = first[at];
        } else {
            greens[0] = first[at];
            greens[1] = first[at + wide];
            greens[2] = second[at];
            greens[3] = second[at + 1];
        }
    }
}
