package org.edgepipeline.app.isp;

/**
 * The view of a capture that a filter predictor receives: all of it, or 4 x 4 spread windows.
 *
 * <p>It is the view of `edge_pipeline/raw/windows.py`.
 */
final class View {
    private static final int LARGEST = 512;
    private static final int PER_AXIS = 4;

    private View() {}

    /** Returns the side of a view, in packed pixels, of an axis for a predictor of free size. */
    static int side(int packed) {
        return Math.min(LARGEST, packed);
    }

    /**
     * Returns a view, packed.
     *
     * @param signal signal, at least as large as the view
     * @param height height of the view in packed pixels
     * @param width width of the view in packed pixels
     * @return 4 x height x width numbers
     */
    static float[] of(Signal signal, int height, int width) {
        float[] packed = new float[4 * height * width];
        int[] rows = starts(height);
        int[] columns = starts(width);
        for (int i = 0; i < PER_AXIS; i++) {
            int down = (signal.height() / 2 - height) * i / (PER_AXIS - 1);
            for (int j = 0; j < PER_AXIS; j++) {
                int across = (signal.width() / 2 - width) * j / (PER_AXIS - 1);
                if (rows[i] < rows[i + 1] && columns[j] < columns[j + 1]) {
                    signal.pack(rows[i] + down, rows[i + 1] - rows[i],
                            columns[j] + across, columns[j + 1] - columns[j],
                            packed, new int[] {height, width, rows[i], columns[j]});
                }
            }
        }
        return packed;
    }

    /** Returns where four bands of an axis begin, and its length; the first bands are longer. */
    private static int[] starts(int side) {
        int[] starts = new int[PER_AXIS + 1];
        for (int i = 0; i < PER_AXIS; i++) {
            starts[i + 1] = starts[i] + side / PER_AXIS + (i < side % PER_AXIS ? 1 : 0);
        }
        return starts;
    }
}
