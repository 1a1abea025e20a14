package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;

/** Reads the bits of a JPEG scan; behind its end, zeros. Source: ITU-T T.81, F.2.2.5. */
final class BitReader {
    private static final int CHUNK = 1 << 16;
    private static final int MOST_BEHIND = 64;

    private final ByteBuffer data;
    private final byte[] chunk = new byte[CHUNK];
    private int chunkStart;
    private int chunkEnd;
    private int at;
    private long held;
    private int count;
    private int behind;

    BitReader(ByteBuffer data, int at) {
        this.data = data.duplicate();
        this.at = at;
        this.chunkStart = at;
        this.chunkEnd = at;
    }

    /** Returns the next bits, 0 to 16 of them, without consuming them. */
    int peek(int bits) {
        while (count < bits) {
            held = held << 8 | nextByte();
            count += 8;
        }
        return (int) (held >> count - bits) & (1 << bits) - 1;
    }

    /** Consumes bits that were peeked at. */
    void skip(int bits) {
        count -= bits;
    }

    /** Moves behind the next restart marker, and returns whether there is one. */
    boolean restart() {
        count = 0;
        held = 0;
        behind = 0;
        int marker = byteAt(at + 1);
        if (byteAt(at) != 0xFF || marker < 0xD0 || marker > 0xD7) {
            return false;
        }
        at += 2;
        return true;
    }

    /** Returns whether more bits were consumed than the scan has. */
    boolean isExhausted() {
        return behind * 8 > count + MOST_BEHIND;
    }

    private int nextByte() {
        int value = byteAt(at);
        if (value != 0xFF) {
            if (value < 0) {
                behind++;
                return 0;
            }
            at++;
            return value;
        }
        if (byteAt(at + 1) == 0) { // a stuffed byte
            at += 2;
            return 0xFF;
        }
        behind++; // a marker: no more bits
        return 0;
    }

    /** Returns a byte of the file, or -1 behind its end. */
    private int byteAt(int place) {
        if (place >= data.limit()) {
            return -1;
        }
        if (place < chunkStart || place >= chunkEnd) {
            chunkStart = place;
            chunkEnd = Math.min(data.limit(), place + CHUNK);
            data.position(place);
            data.get(chunk, 0, chunkEnd - chunkStart);
        }
        return chunk[place - chunkStart] & 0xFF;
    }
}
