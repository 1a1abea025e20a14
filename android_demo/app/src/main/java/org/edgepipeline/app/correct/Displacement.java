package org.edgepipeline.app.correct;

/**
 * Displacement of a colour against green in mosaic pixels: a shift and two radial terms.
 *
 * <p>The model is that of `edge_pipeline/raw/displacement.py`, which names its source.
 */
final class Displacement {
    static final int TERMS = 4;
    static final Displacement NONE = new Displacement(new double[TERMS]);
    private static final int RMS_POINTS = 33;

    /** Shifts down and right, difference of magnification, and its growth with the distance. */
    final double[] terms;

    Displacement(double[] terms) {
        this.terms = terms;
    }

    /**
     * Computes the displacement at a position.
     *
     * @param row row in mosaic pixels
     * @param column column in mosaic pixels
     * @param size height and width of the mosaic
     * @param found receives the displacements down and right
     */
    void at(double row, double column, int[] size, float[] found) {
        double half = Math.hypot(size[0], size[1]) / 2;
        double y = (row - (size[0] - 1) / 2.0) / half;
        double x = (column - (size[1] - 1) / 2.0) / half;
        double growth = terms[2] + terms[3] * (y * y + x * x);
        found[0] = (float) (terms[0] + growth * y);
        found[1] = (float) (terms[1] + growth * x);
    }

    Displacement plus(Displacement other) {
        double[] sums = new double[TERMS];
        for (int i = 0; i < TERMS; i++) {
            sums[i] = terms[i] + other.terms[i];
        }
        return new Displacement(sums);
    }

    /** Returns the root mean square over a mosaic, in mosaic pixels. */
    double rms(int[] size) {
        double sum = 0;
        float[] found = new float[2];
        for (int i = 0; i < RMS_POINTS; i++) {
            for (int j = 0; j < RMS_POINTS; j++) {
                at((double) size[0] * i / (RMS_POINTS - 1),
                        (double) size[1] * j / (RMS_POINTS - 1), size, found);
                sum += (double) found[0] * found[0] + (double) found[1] * found[1];
            }
        }
        return Math.sqrt(sum / (RMS_POINTS * RMS_POINTS));
    }
}
