package org.edgepipeline.app.isp;

/** Numbers of a rectangle of a mosaic, row by row. */
final class Plane {
    final int height;
    final int width;
    final float[] values;

    Plane(int height, int width) {
        this.height = height;
        this.width = width;
        this.values = new float[height * width];
    }

    /** Returns the place of a pixel; one beyond an edge is that of its reflection. */
    int place(int row, int column) {
        return reflect(row, height) * width + reflect(column, width);
    }

    /** Returns the value of a pixel; one beyond an edge is its reflection. */
    float reflected(int row, int column) {
        return values[place(row, column)];
    }

    /**
     * Returns the index inside an axis of which an index is the reflection.
     *
     * <p>The edge is not repeated, so that a pixel keeps its colour of the filter.
     *
     * @param index any index
     * @param size length of the axis, at least 2
     */
    static int reflect(int index, int size) {
        if (index >= 0 && index < size) {
            return index;
        }
        int period = 2 * (size - 1);
        int place = Math.floorMod(index, period);
        return place < size ? place : period - place;
    }
}
