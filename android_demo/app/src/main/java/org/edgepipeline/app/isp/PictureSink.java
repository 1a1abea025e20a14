package org.edgepipeline.app.isp;

/** Receives an upright picture block by block. */
public interface PictureSink {
    /**
     * Announces the size of the picture, once, before its blocks.
     *
     * @param width width in pixels
     * @param height height in pixels
     */
    void begin(int width, int height);

    /**
     * Receives a block.
     *
     * @param argb pixels row by row, as Android's Color has them, encoded sRGB
     * @param left first column in the picture
     * @param top first row in the picture
     * @param width number of columns
     * @param height number of rows
     */
    void put(int[] argb, int left, int top, int width, int height);
}
