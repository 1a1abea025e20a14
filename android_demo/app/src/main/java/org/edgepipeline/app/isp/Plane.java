package org.edgepipeline.app.isp;

import org.edgepipeline.app.tiles.Reflection;

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
        return Reflection.of(row, height) * width + Reflection.of(column, width);
    }

    /** Returns the value of a pixel; one beyond an edge is its reflection. */
    float reflected(int row, int column) {
        return values[place(row, column)];
    }
}
