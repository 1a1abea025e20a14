package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Reads the directories of a TIFF file.
 *
 * <p>Entries whose values lie outside the file are left out, and each directory is read once, so a
 * damaged file can neither crash nor occupy the reader. Source: TIFF 6.0, section 2.
 */
final class TiffReader {
    private static final int SUB_DIRECTORIES = 330;
    private static final int MOST_DIRECTORIES = 64;
    private static final int MOST_ENTRIES = 4096;
    private static final int MOST_VALUES = 1 << 20;

    private final ByteBuffer data;

    private TiffReader(ByteBuffer data) {
        this.data = data;
    }

    /**
     * Returns the directories of a file, the main one first.
     *
     * @param file content of the file; its byte order is set
     * @return the directories; empty if the content is not a TIFF file
     */
    static List<TiffDirectory> read(ByteBuffer file) {
        if (file.limit() < 8) {
            return new ArrayList<>();
        }
        int mark = file.get(0) << 8 | file.get(1);
        if (mark != 0x4949 && mark != 0x4D4D) {
            return new ArrayList<>();
        }
        file.order(mark == 0x4949 ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
        if (file.getShort(2) != 42) {
            return new ArrayList<>();
        }
        return new TiffReader(file).directories(file.getInt(4) & 0xFFFFFFFFL);
    }

    private List<TiffDirectory> directories(long first) {
        List<TiffDirectory> found = new ArrayList<>();
        Set<Long> seen = new HashSet<>();
        ArrayDeque<Long> waiting = new ArrayDeque<>();
        waiting.add(first);
        while (!waiting.isEmpty() && found.size() < MOST_DIRECTORIES) {
            long at = waiting.remove();
            if (at < 8 || at + 2 > data.limit() || !seen.add(at)) {
                continue;
            }
            TiffDirectory directory = new TiffDirectory();
            long next = fill(directory, (int) at);
            found.add(directory);
            for (double below : directory.numbers(SUB_DIRECTORIES)) {
                waiting.add((long) below);
            }
            for (double below : directory.numbers(Tags.EXIF)) {
                waiting.add((long) below);
            }
            waiting.add(next);
        }
        return found;
    }

    /** Reads the entries at an offset, and returns the offset of the next directory, or 0. */
    private long fill(TiffDirectory directory, int at) {
        int count = Math.min(data.getShort(at) & 0xFFFF, MOST_ENTRIES);
        for (int i = 0; i < count; i++) {
            long place = at + 2L + 12L * i;
            if (place + 12 > data.limit()) {
                return 0;
            }
            add(directory, (int) place);
        }
        long end = at + 2L + 12L * count;
        return end + 4 <= data.limit() ? data.getInt((int) end) & 0xFFFFFFFFL : 0;
    }

    private void add(TiffDirectory directory, int place) {
        int type = data.getShort(place + 2) & 0xFFFF;
        long count = data.getInt(place + 4) & 0xFFFFFFFFL;
        long bytes = count * TiffEntry.sizeOf(type);
        if (bytes == 0 || count > MOST_VALUES) {
            return;
        }
        long at = bytes <= 4 ? place + 8 : data.getInt(place + 8) & 0xFFFFFFFFL;
        if (at + bytes <= data.limit()) {
            int tag = data.getShort(place) & 0xFFFF;
            directory.put(tag, new TiffEntry(data, type, (int) count, (int) at));
        }
    }
}
