package org.edgepipeline.app.segment;

/** A picture whose pixels are read part by part. */
public interface PixelSource {
    /** Returns the width in pixels. */
    int width();

    /** Returns the height in pixels. */
    int height();

    /**
     * Reads a part of the picture.
     *
     * @param argb receives the pixels row by row, as Android's Color has them, encoded sRGB
     * @param left first column, inside the picture
     * @param top first row, inside the picture
     * @param width number of columns
     * @param height number of rows
     */
    void read(int[] argb, int left, int top, int width, int height);
}
