package org.edgepipeline.app.isp;

/** Turns blocks of pixels upright. Source: EXIF 2.32, section 4.6.4, Orientation. */
public final class Orientation {
    private final boolean transposes;
    private final boolean flipsRows;
    private final boolean flipsColumns;
    private final int width;
    private final int height;

    /**
     * Creates the turn of a picture.
     *
     * @param orientation EXIF orientation, 1 to 8
     * @param width width in the sensor's orientation
     * @param height height in the sensor's orientation
     */
    public Orientation(int orientation, int width, int height) {
        transposes = orientation >= 5;
        flipsRows = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
        flipsColumns = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
        this.width = width;
        this.height = height;
    }

    /** Returns the width of the upright picture. */
    public int uprightWidth() {
        return transposes ? height : width;
    }

    /** Returns the height of the upright picture. */
    public int uprightHeight() {
        return transposes ? width : height;
    }

    /**
     * Passes a block to the upright picture.
     *
     * @param block pixels of the block in the sensor's orientation, row by row
     * @param top first row of the block in the sensor's picture
     * @param left first column
     * @param high number of rows
     * @param wide number of columns
     * @param picture receives the block turned
     */
    void place(int[] block, int top, int left, int high, int wide, PictureSink picture) {
        int y = flipsRows ? height - top - high : top;
        int x = flipsColumns ? width - left - wide : left;
        int[] turned = new int[high * wide];
        for (int row = 0; row < high; row++) {
            int to = flipsRows ? high - 1 - row : row;
            for (int column = 0; column < wide; column++) {
                int across = flipsColumns ? wide - 1 - column : column;
                int place = transposes ? across * high + to : to * wide + across;
                turned[place] = block[row * wide + column];
            }
        }
        if (transposes) {
            picture.put(turned, y, x, high, wide);
        } else {
            picture.put(turned, x, y, wide, high);
        }
    }
}
