package org.edgepipeline.app.isp;

import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.Matrices;
import org.edgepipeline.app.errors.CancelledException;

/**
 * Develops a capture without a network, to compare: each colour is the mean of its pixels in 3 x 3.
 *
 * <p>Light, colours and tone are those of {@link Developer}.
 */
public final class Plain {
    private static final int BAND_ROWS = 128;

    private Plain() {}

    /**
     * Develops a capture.
     *
     * @param capture capture
     * @param picture receives the upright picture, encoded sRGB
     * @param progress is told how far the work has come, and can end it
     * @throws CancelledException if the progress ended the work
     */
    public static void develop(Capture capture, PictureSink picture, Progress progress)
            throws CancelledException {
        progress.report(0, 0);
        Light light = new Light(capture);
        double white = light.normaliseHeadroom();
        ColourConversion colours =
                new ColourConversion(Matrices.cameraToSrgb(capture.xyzToCamera), white);
        Orientation orientation =
                new Orientation(capture.orientation, capture.width, capture.height);
        picture.begin(orientation.uprightWidth(), orientation.uprightHeight());
        for (int top = 0; top < capture.height; top += BAND_ROWS) {
            progress.report(top, capture.height);
            int bottom = Math.min(top + BAND_ROWS, capture.height);
            int first = Math.max(0, top - 2);
            Plane part = light.part(first, Math.min(bottom + 2, capture.height), 0, capture.width);
            int[] block = new int[(bottom - top) * capture.width];
            for (int row = top; row < bottom; row++) {
                for (int column = 0; column < capture.width; column++) {
                    float[] rgb = mean(capture, part, row, column, first);
                    block[(row - top) * capture.width + column] =
                            colours.argb(rgb[0], rgb[1], rgb[2]);
                }
            }
            orientation.place(block, top, 0, bottom - top, capture.width, picture);
        }
    }

    private static float[] mean(Capture capture, Plane part, int row, int column, int first) {
        float[] sums = new float[3];
        int[] counts = new int[3];
        int own = capture.cfa.colour(row, column);
        sums[own] = Math.min(1, part.reflected(row - first, column));
        counts[own] = 1;
        for (int down = -1; down <= 1; down++) {
            for (int right = -1; right <= 1; right++) {
                // The parity of a reflected pixel is that of its place.
                int colour = capture.cfa.colour(row + down + 2, column + right + 2);
                if (colour != own) {
                    sums[colour] += Math.min(1, part.reflected(row + down - first, column + right));
                    counts[colour]++;
                }
            }
        }
        for (int colour = 0; colour < 3; colour++) {
            sums[colour] /= counts[colour];
        }
        return sums;
    }
}
