package org.edgepipeline.app.segment;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import java.nio.ByteBuffer;
import org.junit.Test;

/** Converts frames with known colours, strides, turns and sizes. */
public final class YuvFrameTest {
    /** Returns a component of constant rows and columns in a buffer with gaps. */
    private static YuvFrame.Plane plane(int[][] values, int pixelStride, int gap) {
        int rowStride = values[0].length * pixelStride + gap;
        // As in Android, the last row ends behind its last sample.
        ByteBuffer data = ByteBuffer.allocateDirect(
                (values.length - 1) * rowStride + (values[0].length - 1) * pixelStride + 1);
        for (int row = 0; row < values.length; row++) {
            for (int column = 0; column < values[0].length; column++) {
                data.put(row * rowStride + column * pixelStride, (byte) values[row][column]);
            }
        }
        return new YuvFrame.Plane(data, rowStride, pixelStride);
    }

    private static YuvFrame grey(int[][] values, int rotation) {
        int[][] neutral = new int[(values.length + 1) / 2][(values[0].length + 1) / 2];
        for (int[] row : neutral) {
            java.util.Arrays.fill(row, 128);
        }
        return new YuvFrame(values[0].length, values.length, rotation, plane(values, 1, 3),
                plane(neutral, 2, 5), plane(neutral, 2, 5));
    }

    private static int[] codes(YuvFrame frame, int wide, int high) {
        int[] argb = new int[wide * high];
        frame.read(argb, wide, high);
        for (int i = 0; i < argb.length; i++) {
            assertEquals("opaque and grey", 0xFF000000 | (argb[i] & 0xFF) * 0x010101, argb[i]);
            argb[i] &= 0xFF;
        }
        return argb;
    }

    @Test
    public void coloursAreThoseOfJfif() {
        // Brightness, blue and red component of red, green, blue, white and black in JFIF.
        int[][] cases = {
            {76, 85, 255, 0xFFFE0000}, {150, 44, 21, 0xFF00FF01}, {29, 255, 107, 0xFF0000FE},
            {255, 128, 128, 0xFFFFFFFF}, {0, 128, 128, 0xFF000000},
        };
        for (int[] one : cases) {
            int[][] bright = {{one[0], one[0]}, {one[0], one[0]}};
            YuvFrame frame = new YuvFrame(2, 2, 0, plane(bright, 1, 0),
                    plane(new int[][] {{one[1]}}, 2, 0), plane(new int[][] {{one[2]}}, 2, 0));
            int[] argb = new int[4];
            frame.read(argb, 2, 2);
            assertArrayEquals(new int[] {one[3], one[3], one[3], one[3]}, argb);
        }
    }

    @Test
    public void everyTurnIsUpright() {
        int[][] values = {{1, 2, 3, 4}, {5, 6, 7, 8}};
        assertArrayEquals(new int[] {1, 2, 3, 4, 5, 6, 7, 8}, codes(grey(values, 0), 4, 2));
        assertArrayEquals(new int[] {5, 1, 6, 2, 7, 3, 8, 4}, codes(grey(values, 90), 2, 4));
        assertArrayEquals(new int[] {8, 7, 6, 5, 4, 3, 2, 1}, codes(grey(values, 180), 4, 2));
        assertArrayEquals(new int[] {4, 8, 3, 7, 2, 6, 1, 5}, codes(grey(values, 270), 2, 4));
    }

    @Test
    public void reducedPixelsAreMeans() {
        int[][] values = {{10, 20, 30, 40}, {20, 30, 40, 50}};
        assertArrayEquals(new int[] {20, 40}, codes(grey(values, 0), 2, 1));
        assertArrayEquals(new int[] {2, 1}, grey(values, 0).size(2));
        assertArrayEquals(new int[] {1, 2}, grey(values, 90).size(2));
        assertArrayEquals(new int[] {4, 2}, grey(values, 0).size(100));
        assertArrayEquals(new int[] {30}, codes(grey(values, 90), 1, 1));
    }
}
