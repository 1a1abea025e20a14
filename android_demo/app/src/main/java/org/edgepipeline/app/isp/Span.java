package org.edgepipeline.app.isp;

import java.util.ArrayList;
import java.util.List;

/**
 * One axis of a tile, in packed pixels: the window that the network sees, and its core.
 *
 * <p>The rules are those of `edge_pipeline/isp/tiles.py`, so tiles equal the whole.
 */
final class Span {
    /** First pixel of the window; below 0 if the window begins before the picture. */
    final int start;
    /** One past the last pixel of the window; it can lie beyond the picture. */
    final int stop;
    /** First pixel that is kept. */
    final int coreStart;
    /** One past the last pixel that is kept. */
    final int coreStop;

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
    static List<Span> flexible(int size, int stride, int halo, int largest, int least) {
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
    static List<Span> fixed(int size, int stride, int halo, int window) {
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

    /** Returns whether the core is at least a margin away from the ends of the window. */
    boolean keeps(int margin) {
        return coreStart - start >= margin && stop - coreStop >= margin;
    }
}
