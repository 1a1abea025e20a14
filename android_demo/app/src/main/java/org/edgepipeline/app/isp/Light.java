package org.edgepipeline.app.isp;

import java.util.Arrays;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.Cfa;

/**
 * The light of a capture's mosaic, in the order of its own filter; parts are computed on use.
 *
 * <p>It computes what `edge_pipeline/raw/signal.py` and `image.py` compute: black level, scale to
 * the white level, white balance, highlights, exposure.
 */
final class Light {
    private static final int BAND_ROWS = 256;
    private static final double SPECULAR = 1e-3;
    private static final double MOST_HEADROOM = 1.5;
    private static final double LIBRAW_THRESHOLD = 0.75;

    private final Capture capture;
    /** Factor of each plane, which converts the camera's values to light. */
    private final float[] scale = new float[4];
    private final float[] gains = new float[3];
    private Highlights highlights;
    private float first = 1;
    private float second = 1;

    /**
     * Creates the light of a capture, as bright as LibRaw makes it, saturated pixels estimated.
     *
     * @param capture capture
     */
    Light(Capture capture) {
        this.capture = capture;
        double[] wb = capture.whiteBalance;
        double least = Math.min(wb[0], Math.min(wb[1], wb[2]));
        for (int colour = 0; colour < 3; colour++) {
            gains[colour] = (float) (wb[colour] / least);
        }
        for (int plane = 0; plane < 4; plane++) {
            double range = capture.white - capture.black[plane];
            scale[plane] = (float) (wb[(plane + 1) / 2] / least / range);
        }
        highlights = Highlights.measured(this, gains);
        first = (float) librawExposure();
    }

    int height() {
        return capture.height;
    }

    int width() {
        return capture.width;
    }

    Cfa cfa() {
        return capture.cfa;
    }

    /**
     * Divides the light by the light that becomes white, which is 1 to 1.5, and returns the latter.
     *
     * <p>At most a thousandth of the pixels exceed it, unless it is 1.5.
     */
    double normaliseHeadroom() {
        double white = headroom();
        second = (float) (1 / white);
        return white;
    }

    /** Returns rows and columns [start, stop) of the light, a new plane. */
    Plane part(int top, int bottom, int left, int right) {
        int margin = highlights == null ? 0 : Highlights.MARGIN;
        int y = Math.max(0, top - margin) / 2 * 2;
        int x = Math.max(0, left - margin) / 2 * 2;
        Plane wide = scaled(y, Math.min(capture.height, bottom + margin),
                x, Math.min(capture.width, right + margin));
        if (highlights != null) {
            highlights.reconstruct(wide);
        }
        Plane part = new Plane(bottom - top, right - left);
        for (int row = 0; row < part.height; row++) {
            int from = (row + top - y) * wide.width + left - x;
            int to = row * part.width;
            for (int column = 0; column < part.width; column++) {
                part.values[to + column] = wide.values[from + column] * first * second;
            }
        }
        return part;
    }

    private Plane scaled(int top, int bottom, int left, int right) {
        Plane signal = new Plane(bottom - top, right - left);
        for (int row = 0; row < signal.height; row++) {
            int from = (row + top) * capture.width + left;
            int to = row * signal.width;
            for (int phase = 0; phase < 2; phase++) {
                int plane = capture.cfa.plane(row + top, left + phase);
                float level = (float) capture.black[plane];
                float factor = scale[plane];
                for (int column = phase; column < signal.width; column += 2) {
                    int value = capture.mosaic[from + column] & 0xFFFF;
                    signal.values[to + column] = (value - level) * factor;
                }
            }
        }
        return signal;
    }

    /**
     * Returns the factor by which LibRaw brightens a capture by default, 1 to 4/3.
     *
     * <p>Source: LibRaw, `adjust_maximum` with its default threshold of 0.75.
     */
    private double librawExposure() {
        int[] most = new int[4];
        for (int row = 0; row < capture.height; row++) {
            for (int column = 0; column < capture.width; column++) {
                int plane = capture.cfa.plane(row, column);
                most[plane] = Math.max(most[plane], capture.value(row, column));
            }
        }
        double brightest = Double.NEGATIVE_INFINITY;
        double least = Double.POSITIVE_INFINITY;
        for (int plane = 0; plane < 4; plane++) {
            brightest = Math.max(brightest, most[plane] - capture.black[plane]);
            least = Math.min(least, capture.black[plane]);
        }
        double span = capture.white - least;
        boolean isNear = LIBRAW_THRESHOLD * span < brightest && brightest < span;
        return isNear ? span / brightest : 1;
    }

    private double headroom() {
        int spared = (int) ((long) capture.height * capture.width * SPECULAR);
        float[] highest = new float[4 * (spared + 1)];
        int count = 0;
        for (int top = 0; top < capture.height; top += BAND_ROWS) {
            int bottom = Math.min(top + BAND_ROWS, capture.height);
            for (float value : part(top, bottom, 0, capture.width).values) {
                if (value > 1) {
                    if (count == highest.length) {
                        Arrays.sort(highest);
                        System.arraycopy(highest, count - spared - 1, highest, 0, spared + 1);
                        count = spared + 1;
                    }
                    highest[count++] = value;
                }
            }
        }
        if (count <= spared) {
            return 1;
        }
        Arrays.sort(highest, 0, count);
        return Math.min(highest[count - spared - 1], MOST_HEADROOM);
    }
}
