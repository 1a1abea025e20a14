package org.edgepipeline.app.dng;

import java.util.HashMap;
import java.util.Map;

/** The tags of one directory of a TIFF file. */
final class TiffDirectory {
    private final Map<Integer, TiffEntry> entries = new HashMap<>();

    void put(int tag, TiffEntry entry) {
        entries.put(tag, entry);
    }

    /** Returns the entry of a tag, or null. */
    TiffEntry entry(int tag) {
        return entries.get(tag);
    }

    /** Returns the values of a tag; empty if the directory does not have it. */
    double[] numbers(int tag) {
        TiffEntry entry = entries.get(tag);
        return entry == null ? new double[0] : entry.numbers();
    }

    /** Returns the first value of a tag, or `missing`. */
    double number(int tag, double missing) {
        TiffEntry entry = entries.get(tag);
        return entry == null || entry.count() == 0 ? missing : entry.number(0);
    }

    /** Returns the first value of a tag as an integer; `missing` if it has none or is too large. */
    int integer(int tag, int missing) {
        double value = number(tag, missing);
        return value >= Integer.MIN_VALUE && value <= Integer.MAX_VALUE ? (int) value : missing;
    }

    /** Returns the text of a tag; empty if the directory does not have it. */
    String text(int tag) {
        TiffEntry entry = entries.get(tag);
        return entry == null ? "" : entry.text();
    }
}
