package org.edgepipeline.app.isp;

/**
 * The curve from scene light to picture light of `edge_pipeline/raw/tone.py`, in a table.
 *
 * <p>y = (1 + k / white^n) x^n / (x^n + k); middle grey, 0.18, becomes 0.24.
 */
final class ToneCurve {
    private static final double GREY_IN = 0.18;
    private static final double GREY_OUT = 0.24;
    private static final double EXPONENT = 1.4;
    private static final int STEPS = 1 << 14;

    private final float scale;
    private final float[] table = new float[STEPS + 2];

    /**
     * Creates a curve.
     *
     * @param white smallest light that becomes white, 1 or more
     */
    ToneCurve(double white) {
        scale = (float) (STEPS / white);
        double grey = Math.pow(GREY_IN, EXPONENT);
        double most = Math.pow(white, EXPONENT);
        double k = grey * (1 - GREY_OUT) / (GREY_OUT - grey / most);
        for (int i = 0; i < table.length; i++) {
            double power = Math.pow(Math.min(i, STEPS) * white / STEPS, EXPONENT);
            table[i] = (float) ((1 + k / most) * power / (power + k));
        }
    }

    /** Returns picture light, 0 to 1, for scene light of 0 or more. */
    float at(float light) {
        float place = Math.min(light * scale, STEPS);
        int step = (int) place;
        float share = place - step;
        return table[step] + share * (table[step + 1] - table[step]);
    }
}
