package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;

/** Reads samples without compression. Source: TIFF 6.0, BitsPerSample; DNG 1.6, chapter 3. */
final class Uncompressed {
    private Uncompressed() {}

    /**
     * Decodes a segment that was checked to be long enough.
     *
     * @param data content of the segment, in the byte order of the file
     * @param bits bits of a sample, 8 to 16; others than 8 and 16 are packed, high bits first
     * @param target place of the samples
     */
    static void decode(ByteBuffer data, int bits, Segments.Target target) {
        int[] row = new int[target.width];
        int bytes = (int) (((long) target.width * bits + 7) / 8);
        for (int y = 0; y < target.height; y++) {
            int at = y * bytes;
            if (bits == 16) {
                for (int x = 0; x < row.length; x++) {
                    row[x] = data.getShort(at + 2 * x) & 0xFFFF;
                }
            } else {
                unpack(data, at, bits, row);
            }
            target.store(row, row.length);
        }
    }

    private static void unpack(ByteBuffer data, int at, int bits, int[] row) {
        int mask = (1 << bits) - 1;
        int held = 0;
        int count = 0;
        int place = at;
        for (int x = 0; x < row.length; x++) {
            while (count < bits) {
                held = held << 8 | data.get(place++) & 0xFF;
                count += 8;
            }
            count -= bits;
            row[x] = held >> count & mask;
        }
    }
}
