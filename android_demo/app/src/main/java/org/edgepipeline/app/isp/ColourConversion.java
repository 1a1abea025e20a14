package org.edgepipeline.app.isp;

/**
 * Converts the network's linear camera RGB to encoded sRGB of 8 bits.
 *
 * <p>It computes what `edge_pipeline/isp/canvas.py` computes with the standard tone: matrix, curve
 * with the hue kept, sRGB transfer function.
 */
final class ColourConversion {
    private static final float SMALLEST_RANGE = 1e-6f;
    private static final int STEPS = 1 << 16;
    /** Encoded sRGB of 8 bits for linear light in steps of 1 / 65536. */
    private static final byte[] ENCODED = encoded();

    private final float[] matrix = new float[9];
    private final ToneCurve curve;

    /**
     * Creates a conversion.
     *
     * @param cameraToSrgb 9 numbers, white-balanced camera RGB to linear sRGB, row by row
     * @param white light of the network's 1, 1 or more
     */
    ColourConversion(double[] cameraToSrgb, double white) {
        for (int i = 0; i < 9; i++) {
            matrix[i] = (float) (cameraToSrgb[i] * white);
        }
        curve = new ToneCurve(Math.max(1, white));
    }

    private static byte[] encoded() {
        byte[] table = new byte[STEPS + 1];
        for (int i = 0; i <= STEPS; i++) {
            double light = (double) i / STEPS;
            double value = light <= 0.0031308
                    ? 12.92 * light : 1.055 * Math.pow(light, 1 / 2.4) - 0.055;
            table[i] = (byte) (int) (value * 255 + 0.5);
        }
        return table;
    }

    /**
     * Converts one pixel.
     *
     * @param red camera red, 1 = white
     * @param green camera green
     * @param blue camera blue
     * @return the pixel as Android's Color has it: 0xFF, red, green, blue
     */
    int argb(float red, float green, float blue) {
        float r = Math.max(0, matrix[0] * red + matrix[1] * green + matrix[2] * blue);
        float g = Math.max(0, matrix[3] * red + matrix[4] * green + matrix[5] * blue);
        float b = Math.max(0, matrix[6] * red + matrix[7] * green + matrix[8] * blue);
        float least = Math.min(r, Math.min(g, b));
        float most = Math.max(r, Math.max(g, b));
        float low = curve.at(least);
        float high = curve.at(most);
        float slope = (high - low) / Math.max(most - least, SMALLEST_RANGE);
        return 0xFF000000
                | code(low + (r - least) * slope, low, high) << 16
                | code(low + (g - least) * slope, low, high) << 8
                | code(low + (b - least) * slope, low, high);
    }

    private static int code(float light, float low, float high) {
        float inside = Math.min(Math.max(light, low), high);
        return ENCODED[(int) (inside * STEPS + 0.5f)] & 0xFF;
    }
}
