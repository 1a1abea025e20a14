package org.edgepipeline.app.tiles;

/** Indices beyond the ends of an axis. */
public final class Reflection {
    private Reflection() {}

    /**
     * Returns the index inside an axis of which an index is the reflection.
     *
     * <p>The edge is not repeated, so that a pixel keeps its colour of the filter.
     *
     * @param index any index
     * @param size length of the axis, at least 1
     */
    public static int of(int index, int size) {
        if (index >= 0 && index < size) {
            return index;
        }
        int period = Math.max(1, 2 * (size - 1));
        int place = Math.floorMod(index, period);
        return place < size ? place : period - place;
    }

    /** Returns the reflections of `count` indices from `start` on. */
    public static int[] places(int start, int count, int size) {
        int[] places = new int[count];
        for (int i = 0; i < count; i++) {
            places[i] = of(start + i, size);
        }
        return places;
    }
}
