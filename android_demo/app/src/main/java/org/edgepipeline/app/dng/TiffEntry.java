package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** One entry of a TIFF directory: a type and a number of values that lie inside the file. */
final class TiffEntry {
    private static final int SHORT = 3;
    private static final int LONG = 4;
    private static final int RATIONAL = 5;
    private static final int SBYTE = 6;
    private static final int SSHORT = 8;
    private static final int SLONG = 9;
    private static final int SRATIONAL = 10;
    private static final int FLOAT = 11;
    private static final int DOUBLE = 12;
    private static final int IFD = 13;
    /** Bytes of a value by type; 0 for types that TIFF 6.0 does not have. */
    private static final int[] SIZES = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4};

    private final ByteBuffer data;
    private final int type;
    private final int count;
    private final int at;

    TiffEntry(ByteBuffer data, int type, int count, int at) {
        this.data = data;
        this.type = type;
        this.count = count;
        this.at = at;
    }

    /** Returns the bytes of one value of a type, or 0 for an unknown type. */
    static int sizeOf(int type) {
        return type > 0 && type < SIZES.length ? SIZES[type] : 0;
    }

    /** Returns the number of values. */
    int count() {
        return count;
    }

    /** Returns a value as a number; NaN for a rational whose denominator is 0. */
    double number(int index) {
        int place = at + index * SIZES[type];
        switch (type) {
            case SHORT:
                return data.getShort(place) & 0xFFFF;
            case LONG:
            case IFD:
                return unsigned(place);
            case RATIONAL:
                return ratio(unsigned(place), unsigned(place + 4));
            case SBYTE:
                return data.get(place);
            case SSHORT:
                return data.getShort(place);
            case SLONG:
                return data.getInt(place);
            case SRATIONAL:
                return ratio(data.getInt(place), data.getInt(place + 4));
            case FLOAT:
                return data.getFloat(place);
            case DOUBLE:
                return data.getDouble(place);
            default:
                return data.get(place) & 0xFF;
        }
    }

    private long unsigned(int place) {
        return data.getInt(place) & 0xFFFFFFFFL;
    }

    private static double ratio(long above, long below) {
        return below == 0 ? Double.NaN : (double) above / below;
    }

    /** Returns all values as numbers. */
    double[] numbers() {
        double[] numbers = new double[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = number(i);
        }
        return numbers;
    }

    /** Returns the bytes as text, up to the first zero byte, at most 200 characters. */
    String text() {
        int most = Math.min(count, 200);
        byte[] bytes = new byte[most];
        int length = 0;
        while (length < most && data.get(at + length) != 0) {
            bytes[length] = data.get(at + length);
            length++;
        }
        return new String(bytes, 0, length, StandardCharsets.UTF_8).trim();
    }
}
