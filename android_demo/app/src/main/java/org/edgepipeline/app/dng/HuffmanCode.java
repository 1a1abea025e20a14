package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** A Huffman code of categories of differences. Source: ITU-T T.81, annexes C, F.2 and H.1. */
final class HuffmanCode {
    /** Returned by {@link #difference} for bits that are no code. */
    static final int INVALID = Integer.MIN_VALUE;

    private static final int LONGEST = 16;
    private static final int MOST_CATEGORY = 16;

    /** Number of bytes of the table in the file. */
    final int bytes;
    private final int longest;
    /** For the next `longest` bits: 256 times the length of the code, and the category; or -1. */
    private final short[] table;

    private HuffmanCode(int bytes, int longest, short[] table) {
        this.bytes = bytes;
        this.longest = longest;
        this.table = table;
    }

    /** Returns the table at a place, or null if it is damaged. */
    static HuffmanCode read(ByteBuffer data, int at, int end) {
        if (at + LONGEST > end) {
            return null;
        }
        int total = 0;
        int longest = 0;
        for (int i = 0; i < LONGEST; i++) {
            int count = data.get(at + i) & 0xFF;
            total += count;
            longest = count > 0 ? i + 1 : longest;
        }
        if (total == 0 || total > MOST_CATEGORY + 1 || at + LONGEST + total > end) {
            return null;
        }
        short[] table = new short[1 << longest];
        Arrays.fill(table, (short) -1);
        int place = 0;
        int symbol = at + LONGEST;
        for (int length = 1; length <= longest; length++) {
            int width = 1 << longest - length;
            for (int i = data.get(at + length - 1) & 0xFF; i > 0; i--) {
                int category = data.get(symbol++) & 0xFF;
                if (category > MOST_CATEGORY || place + width > table.length) {
                    return null;
                }
                Arrays.fill(table, place, place + width, (short) (length << 8 | category));
                place += width;
            }
        }
        return new HuffmanCode(LONGEST + total, longest, table);
    }

    /** Reads a difference, -32767 to 32768, or {@link #INVALID}. */
    int difference(BitReader bits) {
        int entry = table[bits.peek(longest)];
        if (entry < 0) {
            return INVALID;
        }
        bits.skip(entry >> 8);
        int category = entry & 0xFF;
        if (category == 0) {
            return 0;
        }
        if (category == MOST_CATEGORY) {
            return 32768;
        }
        int value = bits.peek(category);
        bits.skip(category);
        return value >> category - 1 == 0 ? value - (1 << category) + 1 : value;
    }
}
