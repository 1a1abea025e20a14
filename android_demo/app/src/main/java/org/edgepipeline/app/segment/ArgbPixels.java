package org.edgepipeline.app.segment;

/** A picture in memory. */
public final class ArgbPixels implements PixelSource {
    private final int[] pixels;
    private final int width;
    private final int height;

    /**
     * Creates a picture.
     *
     * @param pixels width x height pixels row by row, as Android's Color has them
     * @param width width in pixels
     * @param height height in pixels
     */
    public ArgbPixels(int[] pixels, int width, int height) {
        this.pixels = pixels;
        this.width = width;
        this.height = height;
    }

    @Override
    public int width() {
        return width;
    }

    @Override
    public int height() {
        return height;
    }

    @Override
    public void read(int[] argb, int left, int top, int wide, int high) {
        for (int row = 0; row < high; row++) {
            System.arraycopy(pixels, (top + row) * width + left, argb, row * wide, wide);
        }
    }
}
