package org.edgepipeline.app.segment;

import java.util.ArrayList;
import java.util.List;

/**
 * One axis of a tile of a picture: the window that the network sees, and the part that is kept.
 *
 * <p>The tiles are those of `edge_pipeline/segmentation/tiles.py`. Lengths are in pixels.
 */
final class Span {
    /** First pixel of the window; below 0 if it lies before the picture. */
    final int start;
    /** Length of the window. */
    final int window;
    /** First pixel that is kept. */
    final int first;
    /** One past the last pixel that is kept. */
    final int last;

    private Span(int start, int window, int first, int last) {
        this.start = start;
        this.window = window;
        this.first = first;
        this.last = last;
    }

    /**
     * Returns the spans of an axis; their kept parts cover each pixel once.
     *
     * @param size length of the picture
     * @param window length of the network's input, a multiple of `stride`
     * @param margin distance of a kept pixel from an edge inside the picture, at least
     * @param stride number that divides the position of each window
     */
    static List<Span> of(int size, int window, int margin, int stride) {
        List<Span> found = new ArrayList<>();
        if (size <= window) {
            int before = (window - size) / 2 / stride * stride;
            found.add(new Span(-before, window, 0, size));
            return found;
        }
        int step = Math.max(1, (window - 2 * margin) / stride);
        int cells = (size - window + stride - 1) / stride;
        int count = (cells + step - 1) / step;
        int first = 0;
        for (int number = 0; number <= count; number++) {
            int start = (int) ((long) cells * number / count) * stride;
            int next = (int) ((long) cells * (number + 1) / count) * stride;
            int last = number == count ? size : (start + window + next) / 2;
            found.add(new Span(start, window, first, last));
            first = last;
        }
        return found;
    }

    /** Returns the places of the window's pixels in the picture, reflected at both ends. */
    int[] places(int size) {
        int period = Math.max(1, 2 * (size - 1));
        int[] places = new int[window];
        for (int i = 0; i < window; i++) {
            int place = Math.floorMod(start + i, period);
            places[i] = place < size ? place : period - place;
        }
        return places;
    }
}
