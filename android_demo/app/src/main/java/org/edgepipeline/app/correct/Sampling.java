package org.edgepipeline.app.correct;

/**
 * Samples a plane between its pixels, at displacements that vary slowly.
 *
 * <p>It computes what `edge_pipeline/raw/resample.py` computes.
 */
final class Sampling {
    static final int STRIP_ROWS = 8;

    private Sampling() {}

    /**
     * Computes the weights of four pixels at -1, 0, 1 and 2 for a position between 0 and 1.
     *
     * <p>Source: R. Keys, Cubic convolution interpolation for digital image processing, IEEE
     * TASSP 29(6), 1981, with a = -1/2.
     */
    static void keys(float t, float[] weights) {
        float half = 0.5f * t;
        float square = half * t;
        float cube = square * t;
        weights[0] = 2 * square - half - cube;
        weights[1] = 3 * cube - 5 * square + 1;
        weights[2] = half + 4 * square - 3 * cube;
        weights[3] = cube - square;
    }

    /** Displacements down and right at each position, row by row. */
    static final class Field {
        final int height;
        final int width;
        final float[] down;
        final float[] right;

        Field(int height, int width) {
            this.height = height;
            this.width = width;
            this.down = new float[height * width];
            this.right = new float[height * width];
        }

        /** Returns the middle, with all displacements multiplied by a factor. */
        Field inner(int margin, float factor) {
            Field inner = new Field(height - 2 * margin, width - 2 * margin);
            for (int i = 0; i < inner.down.length; i++) {
                int at = (i / inner.width + margin) * width + i % inner.width + margin;
                inner.down[i] = factor * down[at];
                inner.right[i] = factor * right[at];
            }
            return inner;
        }

        private void shorten(float limit) {
            for (int i = 0; i < down.length; i++) {
                down[i] = Math.max(-limit, Math.min(limit, down[i]));
                right[i] = Math.max(-limit, Math.min(limit, right[i]));
            }
        }
    }

    /**
     * Samples a plane by cubic convolution.
     *
     * <p>The whole parts of displacements are those of the middle row of eight rows.
     *
     * @param phases planes, which together are a plane of `count` times as many rows and columns,
     *     row by row; each is larger than the field by the margin on each side
     * @param count 1 or 2
     * @param first row and column of the phase whose pixels are the positions
     * @param field displacements in pixels of the whole plane; long ones are shortened
     * @param margin rows and columns of each phase outside the positions
     * @return values at the positions plus displacements
     */
    static float[] sample(float[][] phases, int count, int first, Field field, int margin) {
        field.shorten(count * margin - 3);
        float[] found = new float[field.height * field.width];
        float[] vertical = new float[4];
        float[] horizontal = new float[4];
        int wide = field.width + 2 * margin;
        for (int row = 0; row < field.height; row++) {
            int top = row / STRIP_ROWS * STRIP_ROWS;
            int middle = (top + Math.min(top + STRIP_ROWS, field.height)) / 2 * field.width;
            for (int column = 0; column < field.width; column++) {
                int at = row * field.width + column;
                int stepDown = (int) Math.floor(field.down[middle + column]);
                int stepRight = (int) Math.floor(field.right[middle + column]);
                keys(field.down[at] - stepDown, vertical);
                keys(field.right[at] - stepRight, horizontal);
                float sum = 0;
                for (int j = 0; j < 4; j++) {
                    int x = first + stepRight + j - 1;
                    int phase = Math.floorMod(x, count);
                    int place = column + margin + Math.floorDiv(x, count);
                    float line = 0;
                    for (int i = 0; i < 4; i++) {
                        int y = first + stepDown + i - 1;
                        float[] plane = phases[Math.floorMod(y, count) * count + phase];
                        int from = (row + margin + Math.floorDiv(y, count)) * wide + place;
                        line += vertical[i] * plane[from];
                    }
                    sum += horizontal[j] * line;
                }
                found[at] = sum;
            }
        }
        return found;
    }
}
