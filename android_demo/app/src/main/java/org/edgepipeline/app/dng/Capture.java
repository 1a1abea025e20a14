package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;

/** A Bayer capture: the sensor's active area, and the data that developing it requires. */
public final class Capture {
    /** Values of the active area, row by row, unsigned 16 bits, in the camera's unit. */
    public final short[] mosaic;
    /** Number of rows of the active area, at least 2. */
    public final int height;
    /** Number of columns of the active area, at least 2. */
    public final int width;
    /** Bayer order at the corner of the active area. */
    public final Cfa cfa;
    /** Black levels for R, G on red rows, G on blue rows, B, in the camera's unit. */
    public final double[] black;
    /** Value at which the sensor saturates, above every black level. */
    public final double white;
    /** As-shot white balance multipliers of red, green and blue; that of green is 1. */
    public final double[] whiteBalance;
    /** CIE XYZ to camera RGB, 9 numbers row by row, rows at any scale; null if it is not known. */
    public final double[] xyzToCamera;
    /** EXIF orientation in which the mosaic is displayed, 1 to 8. */
    public final int orientation;
    /** DNG's NoiseProfile: slope and offset of the variance, one pair or one for each colour. */
    public final double[] noiseProfile;
    /** Maker and model of the camera; empty if they are not known. */
    public final String camera;
    /** Exposure and time, for the pictures made of the capture. */
    public final Shot shot;
    /** The camera's own JPEG in the file, or null. */
    public final ByteBuffer preview;
    /** Assumptions that were made about the capture, a sentence each. */
    public final List<String> notes;

    Capture(Levels levels, Colours colours, RawImage image, int orientation, Shot shot,
            ByteBuffer preview) {
        this.mosaic = image.values;
        this.height = image.height;
        this.width = image.width;
        this.cfa = levels.cfa;
        this.black = levels.black;
        this.white = levels.white;
        this.whiteBalance = colours.whiteBalance;
        this.xyzToCamera = colours.xyzToCamera;
        this.noiseProfile = colours.noiseProfile;
        this.orientation = orientation;
        this.camera = (shot.maker + " " + shot.model).trim();
        this.shot = shot;
        this.preview = preview;
        this.notes = Collections.unmodifiableList(colours.notes);
    }

    /** Returns the value of a pixel, 0 to 65535. */
    public int value(int row, int column) {
        return mosaic[row * width + column] & 0xFFFF;
    }
}
