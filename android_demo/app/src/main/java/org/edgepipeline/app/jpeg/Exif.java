package org.edgepipeline.app.jpeg;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import org.edgepipeline.app.dng.Shot;

/** Writes the EXIF block of a picture. Source: EXIF 2.32, section 4.6; TIFF 6.0, section 2. */
public final class Exif {
    private static final int ASCII = 2;
    private static final int SHORT = 3;
    private static final int LONG = 4;
    private static final int RATIONAL = 5;
    private static final int UNDEFINED = 7;
    private static final int ENTRY = 12;
    private static final int HEADER = 8;
    private static final String SOFTWARE = "Edge Pipeline";

    /** Values by tag: type, number of values, and bytes. */
    private final Map<Integer, Value> entries = new TreeMap<>();

    private Exif() {}

    private static final class Value {
        final int type;
        final int count;
        final byte[] bytes;

        Value(int type, int count, byte[] bytes) {
            this.type = type;
            this.count = count;
            this.bytes = bytes;
        }
    }

    /**
     * Returns the block of an upright sRGB picture, from its byte order on.
     *
     * @param shot camera, exposure and time of the capture
     * @param width width in pixels
     * @param height height in pixels
     */
    public static byte[] of(Shot shot, int width, int height) {
        Exif detail = new Exif();
        detail.ratio(33434, shot.exposure);
        detail.ratio(33437, shot.aperture);
        if (shot.iso > 0) {
            detail.number(34855, SHORT, Math.min(shot.iso, 65535));
        }
        detail.entries.put(36864, new Value(UNDEFINED, 4, ascii("0232")));
        detail.text(36867, shot.taken);
        detail.number(40961, SHORT, 1);
        detail.number(40962, LONG, width);
        detail.number(40963, LONG, height);
        Exif main = new Exif();
        main.text(271, shot.maker);
        main.text(272, shot.model);
        main.number(274, SHORT, 1);
        main.text(305, SOFTWARE);
        main.text(306, shot.taken);
        main.number(34665, LONG, 0);
        main.number(34665, LONG, HEADER + main.size());
        ByteBuffer block = ByteBuffer.allocate(HEADER + main.size() + detail.size());
        block.put(ascii("MM")).putShort((short) 42).putInt(HEADER);
        main.write(block);
        detail.write(block);
        return block.array();
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private void text(int tag, String text) {
        if (!text.isEmpty()) {
            byte[] bytes = ascii(text + "\0");
            entries.put(tag, new Value(ASCII, bytes.length, bytes));
        }
    }

    private void number(int tag, int type, int value) {
        ByteBuffer bytes = ByteBuffer.allocate(type == SHORT ? 2 : 4);
        entries.put(tag, new Value(type, 1, type == SHORT
                ? bytes.putShort((short) value).array() : bytes.putInt(value).array()));
    }

    private void ratio(int tag, double value) {
        if (!(value > 0)) {
            return;
        }
        // An exposure below a second is nearly always one part of a whole number.
        double parts = Math.rint(1 / value);
        boolean isPart = parts > 1 && Math.abs(parts * value - 1) < 1e-3;
        int above = isPart ? 1 : (int) Math.rint(value * 1000);
        int below = isPart ? (int) Math.min(parts, Integer.MAX_VALUE) : 1000;
        entries.put(tag, new Value(RATIONAL, 1,
                ByteBuffer.allocate(8).putInt(above).putInt(below).array()));
    }

    /** Returns the number of bytes of the directory and its values. */
    private int size() {
        int size = 2 + ENTRY * entries.size() + 4;
        for (Value value : entries.values()) {
            size += value.bytes.length > 4 ? even(value.bytes.length) : 0;
        }
        return size;
    }

    private static int even(int bytes) {
        return bytes + bytes % 2;
    }

    private void write(ByteBuffer block) {
        int behind = block.position() + 2 + ENTRY * entries.size() + 4;
        ByteBuffer values = block.duplicate();
        block.putShort((short) entries.size());
        for (Map.Entry<Integer, Value> entry : entries.entrySet()) {
            Value value = entry.getValue();
            int end = block.position() + ENTRY;
            block.putShort(entry.getKey().shortValue()).putShort((short) value.type)
                    .putInt(value.count);
            if (value.bytes.length > 4) {
                block.putInt(behind);
                values.position(behind);
                values.put(value.bytes);
                behind += even(value.bytes.length);
            } else {
                block.put(value.bytes);
            }
            block.position(end);
        }
        block.position(behind);
    }
}
