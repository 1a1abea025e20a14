package org.edgepipeline.app.segment;

import java.nio.ByteBuffer;

/**
 * A frame of a camera: brightness of each pixel and colours of 2 x 2 pixels, full range.
 *
 * <p>The conversion is that of JFIF (ITU-R BT.601 with values of 0 to 255), the default of
 * Android's format YUV_420_888.
 */
public final class YuvFrame {
    /** One component; its sample at a row and a column lies at a multiple of both strides. */
    public static final class Plane {
        final ByteBuffer data;
        final int rowStride;
        final int pixelStride;

        /**
         * Creates a component.
         *
         * @param data its bytes from the first sample on
         * @param rowStride bytes from a row to the next
         * @param pixelStride bytes from a sample to the next
         */
        public Plane(ByteBuffer data, int rowStride, int pixelStride) {
            this.data = data;
            this.rowStride = rowStride;
            this.pixelStride = pixelStride;
        }

        int at(int row, int column) {
            return data.get(row * rowStride + column * pixelStride) & 0xFF;
        }
    }

    private final int width;
    private final int height;
    private final int rotation;
    private final Plane[] planes;

    /**
     * Creates a frame.
     *
     * @param width width in the sensor's orientation, even
     * @param height height in the sensor's orientation, even
     * @param rotation turn to the right after which it is upright: 0, 90, 180 or 270 degrees
     * @param planes brightness, blue and red component
     */
    public YuvFrame(int width, int height, int rotation, Plane... planes) {
        this.width = width;
        this.height = height;
        this.rotation = rotation;
        this.planes = planes.clone();
    }

    /**
     * Returns width and height of the upright frame, reduced if it is large.
     *
     * @param longest longest side
     */
    public int[] size(int longest) {
        boolean isTurned = rotation % 180 != 0;
        int wide = isTurned ? height : width;
        int high = isTurned ? width : height;
        int most = Math.max(Math.max(wide, high), 1);
        if (most <= longest) {
            return new int[] {wide, high};
        }
        return new int[] {Math.max(1, (int) Math.rint((double) wide * longest / most)),
            Math.max(1, (int) Math.rint((double) high * longest / most))};
    }

    /**
     * Converts the upright frame; a pixel is the mean of those that it covers.
     *
     * @param argb receives wide x high pixels row by row, as Android's Color has them
     * @param wide width, at most that of the upright frame
     * @param high height, at most that of the upright frame
     */
    public void read(int[] argb, int wide, int high) {
        boolean isTurned = rotation % 180 != 0;
        int[] across = bounds(isTurned ? height : width, wide);
        int[] down = bounds(isTurned ? width : height, high);
        for (int y = 0; y < high; y++) {
            for (int x = 0; x < wide; x++) {
                argb[y * wide + x] =
                        mean(across[x], down[y], across[x + 1], down[y + 1]);
            }
        }
    }

    private static int[] bounds(int size, int count) {
        int[] bounds = new int[count + 1];
        for (int i = 0; i <= count; i++) {
            bounds[i] = (int) ((long) size * i / count);
        }
        return bounds;
    }

    /** Returns the mean colour of a rectangle of the upright frame. */
    private int mean(int left, int top, int right, int bottom) {
        switch (rotation) {
            case 90:
                return ownMean(top, height - right, bottom, height - left);
            case 180:
                return ownMean(width - right, height - bottom, width - left, height - top);
            case 270:
                return ownMean(width - bottom, left, width - top, right);
            default:
                return ownMean(left, top, right, bottom);
        }
    }

    /** Returns the mean colour of a rectangle in the sensor's orientation. */
    private int ownMean(int left, int top, int right, int bottom) {
        int count = (right - left) * (bottom - top);
        int sum = 0;
        for (int row = top; row < bottom; row++) {
            for (int column = left; column < right; column++) {
                sum += planes[0].at(row, column);
            }
        }
        int lastColumn = (right - 1) / 2;
        int lastRow = (bottom - 1) / 2;
        int blue = 0;
        int red = 0;
        for (int row = top / 2; row <= lastRow; row++) {
            for (int column = left / 2; column <= lastColumn; column++) {
                blue += planes[1].at(row, column);
                red += planes[2].at(row, column);
            }
        }
        float colours = (lastRow - top / 2 + 1) * (lastColumn - left / 2 + 1);
        return argb((float) sum / count, blue / colours - 128, red / colours - 128);
    }

    private static int argb(float brightness, float blue, float red) {
        return 0xFF000000 | code(brightness + 1.402f * red) << 16
                | code(brightness - 0.344136f * blue - 0.714136f * red) << 8
                | code(brightness + 1.772f * blue);
    }

    private static int code(float value) {
        return Math.max(0, Math.min(255, Math.round(value)));
    }
}
