package org.edgepipeline.app.dng;

import org.edgepipeline.app.errors.CaptureException;

/**
 * The active area of a sensor, which decoders fill with samples in the order of the file.
 *
 * <p>Samples outside the active area are dropped as they arrive, so that only one array has the
 * size of the capture.
 */
final class RawImage {
    final int height;
    final int width;
    final short[] values;
    private final int top;
    private final int left;
    private final short[] linear;

    /**
     * Creates an empty area.
     *
     * @param area top, left, bottom and right of the active area in the sensor
     * @param linear table from stored to linear values; null for none
     */
    RawImage(int[] area, short[] linear) {
        this.top = area[0];
        this.left = area[1];
        this.height = area[2] - area[0];
        this.width = area[3] - area[1];
        this.linear = linear;
        this.values = new short[height * width];
    }

    /**
     * Stores a run of samples of one row of the sensor.
     *
     * @param row row of the sensor
     * @param column column of the first sample
     * @param samples values of 0 to 65535
     * @param from index of the first sample
     * @param count number of samples
     */
    void store(int row, int column, int[] samples, int from, int count) {
        int y = row - top;
        if (y < 0 || y >= height) {
            return;
        }
        int first = Math.max(0, left - column);
        int last = Math.min(count, left + width - column);
        int place = y * width + column - left;
        for (int i = first; i < last; i++) {
            int sample = samples[from + i];
            if (linear != null) {
                sample = linear[Math.min(sample, linear.length - 1)];
            }
            values[place + i] = (short) sample;
        }
    }

    /** Throws if the last rows are zero although black is not: their data are missing. */
    void checkTail(double leastBlack, String name) throws CaptureException {
        int rows = Math.max(2, height / 64);
        if (leastBlack <= 0) {
            return;
        }
        for (int i = (height - rows) * width; i < values.length; i++) {
            if (values[i] != 0) {
                return;
            }
        }
        throw new CaptureException(
                name + " is truncated or damaged; copy it from the camera again.");
    }
}
