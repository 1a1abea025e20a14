package org.edgepipeline.app.dng;

/** Products and inverses of 3 x 3 matrices, given as 9 numbers row by row. */
public final class Matrices {
    /** Linear sRGB to CIE XYZ with white D65. Source: IEC 61966-2-1. */
    private static final double[] SRGB_TO_XYZ = {
        0.4124564, 0.3575761, 0.1804375,
        0.2126729, 0.7151522, 0.0721750,
        0.0193339, 0.1191920, 0.9503041,
    };
    private static final double SMALLEST_DETERMINANT = 1e-6;

    private Matrices() {}

    /** Returns the product of two matrices, a new array. */
    public static double[] product(double[] left, double[] right) {
        double[] result = new double[9];
        for (int i = 0; i < 9; i++) {
            int row = i / 3 * 3;
            result[i] = left[row] * right[i % 3] + left[row + 1] * right[3 + i % 3]
                    + left[row + 2] * right[6 + i % 3];
        }
        return result;
    }

    /** Returns the camera's red, green and blue for CIE D65, from an XYZ-to-camera matrix. */
    public static double[] whiteOf(double[] xyzToCamera) {
        double[] fromSrgb = product(xyzToCamera, SRGB_TO_XYZ);
        return new double[] {
            fromSrgb[0] + fromSrgb[1] + fromSrgb[2],
            fromSrgb[3] + fromSrgb[4] + fromSrgb[5],
            fromSrgb[6] + fromSrgb[7] + fromSrgb[8],
        };
    }

    /** Returns whether `cameraToSrgb` accepts a matrix. */
    public static boolean isUsable(double[] xyzToCamera) {
        double[] scaled = srgbToCamera(xyzToCamera);
        return scaled != null && Math.abs(determinant(scaled)) >= SMALLEST_DETERMINANT;
    }

    /**
     * Returns the matrix from white-balanced linear camera RGB to linear sRGB; rows sum to 1.
     *
     * <p>Source: dcraw and LibRaw, `cam_xyz_coeff`.
     *
     * @param xyzToCamera CIE XYZ to camera RGB, usable; null if the camera's colours are not known
     * @return the matrix; the identity for null
     */
    public static double[] cameraToSrgb(double[] xyzToCamera) {
        if (xyzToCamera == null) {
            return new double[] {1, 0, 0, 0, 1, 0, 0, 0, 1};
        }
        return inverse(srgbToCamera(xyzToCamera));
    }

    /** Returns linear sRGB to camera RGB with white at 1 in each channel; null if it has none. */
    private static double[] srgbToCamera(double[] xyzToCamera) {
        double[] result = product(xyzToCamera, SRGB_TO_XYZ);
        double[] white = whiteOf(xyzToCamera);
        for (int i = 0; i < 9; i++) {
            double own = white[i / 3];
            if (!(own > 0) || Double.isInfinite(own) || Double.isNaN(result[i])) {
                return null;
            }
            result[i] /= own;
        }
        return result;
    }

    private static double determinant(double[] m) {
        return m[0] * (m[4] * m[8] - m[5] * m[7])
                - m[1] * (m[3] * m[8] - m[5] * m[6])
                + m[2] * (m[3] * m[7] - m[4] * m[6]);
    }

    private static double[] inverse(double[] m) {
        double one = 1 / determinant(m);
        return new double[] {
            (m[4] * m[8] - m[5] * m[7]) * one,
            (m[2] * m[7] - m[1] * m[8]) * one,
            (m[1] * m[5] - m[2] * m[4]) * one,
            (m[5] * m[6] - m[3] * m[8]) * one,
            (m[0] * m[8] - m[2] * m[6]) * one,
            (m[2] * m[3] - m[0] * m[5]) * one,
            (m[3] * m[7] - m[4] * m[6]) * one,
            (m[1] * m[6] - m[0] * m[7]) * one,
            (m[0] * m[4] - m[1] * m[3]) * one,
        };
    }
}
