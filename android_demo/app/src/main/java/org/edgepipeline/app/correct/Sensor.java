package org.edgepipeline.app.correct;

import org.edgepipeline.app.dng.Capture;

/**
 * A capture's mosaic as signals that are equal for white light, at any place.
 *
 * <p>A place beyond an edge has the value of the reflected pixel of its colour, which is never a
 * neighbour of itself. Phases are numbered 0 to 3: twice the row's parity plus the column's.
 */
final class Sensor {
    final int height;
    final int width;
    /** Black level of each phase. */
    final float[] black = new float[4];
    /** Factor of each phase, after which white light is equal in all colours. */
    final float[] scale = new float[4];
    private final short[] mosaic;

    /**
     * Creates the signals of a capture, after its white balance.
     *
     * @param capture capture
     */
    Sensor(Capture capture) {
        mosaic = capture.mosaic;
        height = capture.height;
        width = capture.width;
        for (int phase = 0; phase < 4; phase++) {
            int plane = capture.cfa.plane(phase / 2, phase % 2);
            black[phase] = (float) capture.black[plane];
            scale[phase] = (float) scale(capture, plane);
        }
    }

    /** Returns the factor of a plane: 0 for R, 1 and 2 for G, 3 for B. */
    static double scale(Capture capture, int plane) {
        double[] wb = capture.whiteBalance;
        double least = Math.min(wb[0], Math.min(wb[1], wb[2]));
        return wb[(plane + 1) / 2] / least / (capture.white - capture.black[plane]);
    }

    static int phase(int row, int column) {
        return (row & 1) * 2 + (column & 1);
    }

    /** Returns the camera's value at a place. */
    int value(int row, int column) {
        return mosaic[mirrored(row, height) * width + mirrored(column, width)] & 0xFFFF;
    }

    /** Returns the signal at a place. */
    float signal(int row, int column) {
        int phase = phase(row, column);
        return (value(row, column) - black[phase]) * scale[phase];
    }

    /** Returns the index of the same colour's reflection, if an index is outside an axis. */
    static int mirrored(int index, int size) {
        int found = index < 0 ? (index & 1) * 2 - index : index;
        int last = size - 1;
        return found > last ? 2 * (last - (found - last & 1)) - found : found;
    }
}
