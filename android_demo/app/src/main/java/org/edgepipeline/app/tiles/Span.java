package org.edgepipeline.app.tiles;

import java.util.ArrayList;
import java.util.List;

/**
 * One axis of a tile: the window that the network sees, and the core that is kept.
 *
 * <p>The rules are those of `edge_pipeline/isp/tiles.py` and
 * `edge_pipeline/segmentation/tiles.py`. Lengths are in the pixels of the network's input.
 */
public final class Span {
    /** First pixel of the window; below 0 if the window begins before the picture. */
    public final int start;
    /** One past the last pixel of the window; it can lie beyond the picture. */
    public final int stop;
    /** First pixel that is kept. */
    public final int coreStart;
    /** One past the last pixel that is kept. */
    public final int coreStop;

    private Span(int start, int stop, int coreStart, int coreStop) {
        this.start = start;
        this.stop = stop;
        this.coreStart = coreStart;
        this.coreStop = coreStop;
    }

    /**
     * Returns spans for a network that accepts any multiple of `stride`, as equal as possible.
     *
     * @param size length of the axis, a multiple of `stride`
     * @param stride step of the network's grid
     * @param halo distance from which input affects an output pixel, a multiple of `stride`
     * @param largest longest window, unless the halos leave no room for a core
     * @param least shortest window that the network accepts, a multiple of `stride`
     */
    public static List<Span> flexible(int size, int stride, int halo, int largest, int least) {
        int room = Math.max(stride, (largest - 2 * halo) / stride * stride);
        int count = (size + room - 1) / room;
        int cells = size / stride;
        List<Span> spans = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int first = (int) ((long) cells * i / count) * stride;
            int last = (int) ((long) cells * (i + 1) / count) * stride;
            spans.add(new Span(first - halo, Math.max(last + halo, first - halo + least),
                    first, last));
        }
        return spans;
    }

    /**
     * Returns spans for a network that was compiled for a single length.
     *
     * @param size length of the axis, a multiple of `stride`
     * @param stride step of the network's grid
     * @param halo distance from which input affects an output pixel, a multiple of `stride`
     * @param window length for which the network was compiled
     * @return the spans; empty if the picture is longer than a window without room for a core
     */
    public static List<Span> fixed(int size, int stride, int halo, int window) {
        List<Span> spans = new ArrayList<>();
        int step = window - 2 * halo;
        if (step <= 0) {
            if (size <= window) {
                int before = Math.min(halo, (window - size) / 2 / stride * stride);
                spans.add(new Span(-before, window - before, 0, size));
            }
            return spans;
        }
        for (int first = 0; first < size; first += step) {
            spans.add(new Span(first - halo, first - halo + window,
                    first, Math.min(first + step, size)));
        }
        return spans;
    }

    /**
     * Returns spans whose windows have distances as equal as possible; cores cover a pixel once.
     *
     * @param size length of the picture
     * @param window length of the network's input, a multiple of `stride`
     * @param margin distance of a kept pixel from an edge inside the picture, at least
     * @param stride number that divides the position of each window
     */
    public static List<Span> overlapping(int size, int window, int margin, int stride) {
        List<Span> found = new ArrayList<>();
        if (size <= window) {
            int before = (window - size) / 2 / stride * stride;
            found.add(new Span(-before, window - before, 0, size));
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
            found.add(new Span(start, start + window, first, last));
            first = last;
        }
        return found;
    }

    /** Returns the length of the window. */
    public int window() {
        return stop - start;
    }

    /** Returns the places of the window's pixels in the picture, reflected at both ends. */
    public int[] places(int size) {
        return Reflection.places(start, stop - start, size);
    }

    /** Returns whether the core is at least a margin away from the ends of the window. */
    public boolean keeps(int margin) {
        return coreStart - start >= margin && stop - coreStop >= margin;
    }
}
