package org.edgepipeline.app.segment;

import org.edgepipeline.app.isp.PictureSink;

/**
 * Draws labels over a picture: coloured areas with outlines, as `edge-pipeline segment` does.
 *
 * <p>An outline has a line in the colour of its label and, outside of it, a darkened line.
 */
public final class Overlay {
    private static final float OPACITY = 0.3f;
    private static final float DARK = 0.35f;
    /** Length of a side from which on lines are two pixels wide. */
    private static final int LARGE_SIDE = 800;
    private static final int BAND_ROWS = 128;

    private final byte[] labels;
    private final LabelNames names;
    private final int width;
    private final int height;

    private Overlay(int width, int height, byte[] labels, LabelNames names) {
        this.labels = labels;
        this.names = names;
        this.width = width;
        this.height = height;
    }

    /**
     * Draws labels.
     *
     * @param picture the picture
     * @param labels its labels, row by row
     * @param names their names; the background is not coloured
     * @param sink receives the drawing
     */
    public static void draw(
            PixelSource picture, byte[] labels, LabelNames names, PictureSink sink) {
        Overlay overlay = new Overlay(picture.width(), picture.height(), labels, names);
        sink.begin(overlay.width, overlay.height);
        for (int top = 0; top < overlay.height; top += BAND_ROWS) {
            int rows = Math.min(BAND_ROWS, overlay.height - top);
            int[] band = new int[rows * overlay.width];
            picture.read(band, 0, top, overlay.width, rows);
            overlay.paint(band, top, rows);
            sink.put(band, 0, top, overlay.width, rows);
        }
    }

    /**
     * Returns labels as they are drawn, transparent elsewhere.
     *
     * @param labels the labels, row by row
     * @param width number of columns
     * @param names their names; the background is not coloured
     * @return pixels as Android's Color has them, not premultiplied
     */
    public static int[] mask(byte[] labels, int width, LabelNames names) {
        Overlay overlay = new Overlay(width, labels.length / width, labels, names);
        int[] pixels = new int[labels.length];
        for (int at = 0; at < labels.length; at++) {
            int label = labels[at] & 0xFF;
            boolean isEdge = overlay.isEdge(at / width, at % width, 1);
            if (label > 0 || !names.hasBackground) {
                int opacity = isEdge ? 255 : Math.round(255 * OPACITY);
                pixels[at] = opacity << 24 | names.colour(label) & 0xFFFFFF;
            } else if (isEdge) {
                pixels[at] = Math.round(255 * (1 - DARK)) << 24;
            }
        }
        return pixels;
    }

    private void paint(int[] band, int top, int rows) {
        int line = Math.max(height, width) < LARGE_SIDE ? 1 : 2;
        for (int y = 0; y < rows; y++) {
            for (int x = 0; x < width; x++) {
                int label = labels[(top + y) * width + x] & 0xFF;
                boolean isPainted = label > 0 || !names.hasBackground;
                int at = y * width + x;
                if (isPainted) {
                    float share = isEdge(top + y, x, line) ? 1 : OPACITY;
                    band[at] = mixed(band[at], names.colour(label), share, 1);
                } else if (isEdge(top + y, x, 1)) {
                    band[at] = mixed(band[at], 0, 0, DARK);
                }
            }
        }
    }

    private static int mixed(int pixel, int colour, float share, float dark) {
        int made = 0xFF;
        for (int shift = 16; shift >= 0; shift -= 8) {
            float code = pixel >> shift & 0xFF;
            float own = colour >> shift & 0xFF;
            made = made << 8 | (int) Math.rint((code + share * (own - code)) * dark);
        }
        return made;
    }

    /** Returns whether a pixel is at most `distance` from one with another label, on an axis. */
    private boolean isEdge(int y, int x, int distance) {
        for (int away = 1; away <= distance; away++) {
            if (differs(y, x, y - away, x) || differs(y, x, y + away, x)
                    || differs(y, x, y, x - away) || differs(y, x, y, x + away)) {
                return true;
            }
        }
        return false;
    }

    private boolean differs(int y, int x, int otherY, int otherX) {
        boolean isInside = otherY >= 0 && otherY < height && otherX >= 0 && otherX < width;
        return isInside && labels[otherY * width + otherX] != labels[y * width + x];
    }
}
