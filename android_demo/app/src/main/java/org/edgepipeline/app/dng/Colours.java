package org.edgepipeline.app.dng;

import java.util.ArrayList;
import java.util.List;

/** The colours of a capture: white balance, colour matrix, and noise. */
final class Colours {
    /** EXIF light sources, the preferred one first: D65, D50, D55, D75. Otherwise, the second. */
    private static final int[] PREFERRED = {21, 23, 20, 22};
    private static final double SMALLEST_GAIN = 1e-5;

    double[] whiteBalance;
    final double[] xyzToCamera;
    final double[] noiseProfile;
    final List<String> notes = new ArrayList<>();

    private double[] daylight;

    Colours(TiffDirectory main, TiffDirectory raw) {
        double[] matrix = matrixOf(main);
        if (matrix != null && !Matrices.isUsable(matrix)) {
            notes.add("The file's colour matrix cannot be inverted, so it is ignored.");
            matrix = null;
        }
        if (matrix == null) {
            notes.add("The camera's colours are not known; they are assumed to be those of sRGB.");
        } else {
            double[] white = Matrices.whiteOf(matrix);
            daylight = gains(white[0], white[1], white[2]);
        }
        xyzToCamera = matrix;
        double[] neutral = main.numbers(Tags.NEUTRAL);
        whiteBalance = neutral.length == 3 ? gains(neutral[0], neutral[1], neutral[2]) : null;
        double[] noise = raw.numbers(Tags.NOISE_PROFILE);
        noiseProfile = noise.length == 0 ? main.numbers(Tags.NOISE_PROFILE) : noise;
    }

    /** Chooses another white balance if the file has none: daylight, or that of a grey mean. */
    void completeWith(RawImage image, Levels levels) {
        if (whiteBalance == null && daylight != null) {
            notes.add("The file has no as-shot white balance; that of daylight is used.");
            whiteBalance = daylight;
        }
        if (whiteBalance == null) {
            notes.add("The file has no white balance; the picture's mean is assumed to be grey.");
            whiteBalance = GreyWorld.gains(image, levels);
        }
    }

    /** Returns multipliers for the camera's values of white, or null if one is not usable. */
    private static double[] gains(double red, double green, double blue) {
        double first = green / red;
        double last = green / blue;
        boolean isUsable = red > 0 && green > 0 && blue > 0
                && first > SMALLEST_GAIN && last > SMALLEST_GAIN
                && first < 1 / SMALLEST_GAIN && last < 1 / SMALLEST_GAIN;
        return isUsable ? new double[] {first, 1, last} : null;
    }

    /**
     * Returns CIE XYZ to camera RGB for light close to daylight, or null.
     *
     * <p>Source: DNG 1.6, chapter 6: AnalogBalance x CameraCalibration x ColorMatrix. The matrix is
     * the one that LibRaw chooses (found from rawpy's `color_matrix` for pairs of light sources).
     */
    private static double[] matrixOf(TiffDirectory main) {
        double[] first = nine(main.numbers(Tags.COLOR_MATRIX_1));
        double[] second = nine(main.numbers(Tags.COLOR_MATRIX_2));
        boolean isFirst = second == null || (first != null && prefersFirst(
                main.integer(Tags.ILLUMINANT_1, 0), main.integer(Tags.ILLUMINANT_2, 0)));
        double[] matrix = isFirst ? first : second;
        if (matrix == null) {
            return null;
        }
        double[] calibration =
                nine(main.numbers(isFirst ? Tags.CALIBRATION_1 : Tags.CALIBRATION_2));
        if (calibration != null) {
            matrix = Matrices.product(calibration, matrix);
        }
        double[] balance = main.numbers(Tags.ANALOG_BALANCE);
        for (int i = 0; i < 9 && balance.length == 3; i++) {
            matrix[i] *= balance[i / 3];
        }
        return matrix;
    }

    private static boolean prefersFirst(int first, int second) {
        for (int light : PREFERRED) {
            if (first == light || second == light) {
                return second != light;
            }
        }
        return false;
    }

    private static double[] nine(double[] numbers) {
        return numbers.length == 9 ? numbers : null;
    }
}
