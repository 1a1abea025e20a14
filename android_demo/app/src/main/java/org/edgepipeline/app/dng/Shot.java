package org.edgepipeline.app.dng;

import java.util.List;

/** The camera, exposure and time of a capture, as its file states them. */
public final class Shot {
    /** Maker of the camera; empty if it is not known. */
    public final String maker;
    /** Model of the camera; empty if it is not known. */
    public final String model;
    /** Time as "2024:05:17 12:30:00"; empty if it is not known. */
    public final String taken;
    /** Exposure time in seconds; 0 if it is not known. */
    public final double exposure;
    /** Ratio of focal length and aperture; 0 if it is not known. */
    public final double aperture;
    /** Sensitivity; 0 if it is not known. */
    public final int iso;

    Shot(List<TiffDirectory> directories) {
        TiffDirectory main = directories.get(0);
        maker = main.text(Tags.MAKE);
        model = main.text(Tags.MODEL);
        String found = "";
        double time = 0;
        double ratio = 0;
        double speed = 0;
        for (TiffDirectory one : directories) {
            found = found.isEmpty() ? one.text(Tags.TAKEN) : found;
            time = time > 0 ? time : one.number(Tags.EXPOSURE, 0);
            ratio = ratio > 0 ? ratio : one.number(Tags.APERTURE, 0);
            speed = speed > 0 ? speed : one.number(Tags.ISO, 0);
        }
        taken = found.isEmpty() ? main.text(Tags.DATE_TIME) : found;
        exposure = inRange(time, 1e5);
        aperture = inRange(ratio, 1e3);
        iso = (int) inRange(speed, 1e7);
    }

    private static double inRange(double value, double most) {
        return value > 0 && value < most ? value : 0;
    }
}
