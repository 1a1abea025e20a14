package org.edgepipeline.app.dng;

/** The order of a Bayer filter: the colours of the top left 2 x 2 pixels, row by row. */
public enum Cfa {
    RGGB(0, 0),
    GRBG(0, 1),
    GBRG(1, 0),
    BGGR(1, 1);

    /** Row of red in the first cell, 0 or 1. */
    public final int redRow;
    /** Column of red in the first cell, 0 or 1. */
    public final int redColumn;

    Cfa(int redRow, int redColumn) {
        this.redRow = redRow;
        this.redColumn = redColumn;
    }

    /**
     * Returns the plane of a pixel: 0 for R, 1 for G on red rows, 2 for G on blue rows, 3 for B.
     *
     * @param row row of the mosaic
     * @param column column of the mosaic
     */
    public int plane(int row, int column) {
        return ((row + redRow) & 1) * 2 + ((column + redColumn) & 1);
    }

    /**
     * Returns the colour of a pixel: 0 for red, 1 for green, 2 for blue.
     *
     * @param row row of the mosaic
     * @param column column of the mosaic
     */
    public int colour(int row, int column) {
        return ((row + redRow) & 1) + ((column + redColumn) & 1);
    }
}
