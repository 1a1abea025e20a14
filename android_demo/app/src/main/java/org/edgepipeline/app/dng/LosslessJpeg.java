package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.edgepipeline.app.errors.CaptureException;

/**
 * Decodes lossless JPEG with Huffman codes, as DNG uses it. Source: ITU-T T.81, annexes B, F and H.
 */
final class LosslessJpeg {
    private static final int START = 0xD8;
    private static final int END = 0xD9;
    private static final int FRAME = 0xC3;
    private static final int CODES = 0xC4;
    private static final int SCAN = 0xDA;
    private static final int RESTART_INTERVAL = 0xDD;
    private static final int MOST_COMPONENTS = 4;

    private final ByteBuffer data;
    private final String name;
    private final HuffmanCode[] tables = new HuffmanCode[4];
    private final HuffmanCode[] codes = new HuffmanCode[MOST_COMPONENTS];
    private final int[] identifiers = new int[MOST_COMPONENTS];
    private int precision;
    private int rows;
    private int columns;
    private int components;
    private int predictor;
    private int shift;
    private int interval;

    LosslessJpeg(ByteBuffer data, String name) {
        this.data = data.order(ByteOrder.BIG_ENDIAN);
        this.name = name;
    }

    /** Decodes the file into a segment. */
    void decode(Segments.Target target) throws CaptureException {
        int at = readHeaders();
        if ((long) rows * columns * components < (long) target.width * target.height) {
            throw damaged();
        }
        BitReader bits = new BitReader(data, at);
        int width = columns * components;
        int[] above = new int[width];
        int[] row = new int[width];
        int restartRows = interval == 0 ? rows : interval / columns;
        for (int y = 0; y < rows && !target.isFull(); y++) {
            boolean isFirst = y == 0;
            if (y > 0 && y % restartRows == 0) {
                isFirst = true;
                if (!bits.restart()) {
                    throw damaged();
                }
            }
            decodeRow(bits, row, above, isFirst);
            target.store(row, width);
            int[] swapped = above;
            above = row;
            row = swapped;
        }
        if (!target.isFull() || bits.isExhausted()) {
            throw damaged();
        }
    }

    private void decodeRow(BitReader bits, int[] row, int[] above, boolean isFirst)
            throws CaptureException {
        int start = 1 << precision - shift - 1;
        int largest = (1 << precision) - 1;
        for (int i = 0; i < row.length; i++) {
            int difference = codes[i % components].difference(bits);
            if (difference == HuffmanCode.INVALID) {
                throw damaged();
            }
            int left = i >= components ? row[i - components] : 0;
            int predicted;
            if (isFirst) {
                predicted = i < components ? start : left;
            } else if (i < components) {
                predicted = above[i];
            } else {
                predicted = predicted(left, above[i], above[i - components]);
            }
            row[i] = predicted + difference & 0xFFFF;
        }
        if (shift > 0 || largest < 0xFFFF) {
            checkRange(row, largest >> shift);
        }
    }

    private void checkRange(int[] row, int largest) throws CaptureException {
        for (int value : row) {
            if (value > largest) {
                throw damaged();
            }
        }
    }

    private int predicted(int left, int above, int corner) {
        switch (predictor) {
            case 1:
                return left;
            case 2:
                return above;
            case 3:
                return corner;
            case 4:
                return left + above - corner;
            case 5:
                return left + (above - corner >> 1);
            case 6:
                return above + (left - corner >> 1);
            default:
                return left + above >> 1;
        }
    }

    /** Reads the segments before the scan's data and returns the place of these. */
    private int readHeaders() throws CaptureException {
        if (data.limit() < 4 || (data.getShort(0) & 0xFFFF) != (0xFF00 | START)) {
            throw damaged();
        }
        int at = 2;
        while (at + 4 <= data.limit()) {
            int marker = data.getShort(at) & 0xFFFF;
            int length = data.getShort(at + 2) & 0xFFFF;
            int end = at + 2 + length;
            boolean isValid = marker >> 8 == 0xFF && length >= 2 && end <= data.limit()
                    && marker != (0xFF00 | END);
            if (!isValid) {
                throw damaged();
            }
            readSegment(marker & 0xFF, at + 4, end);
            at = end;
            if ((marker & 0xFF) == SCAN) {
                return at;
            }
        }
        throw damaged();
    }

    private void readSegment(int marker, int at, int end) throws CaptureException {
        if (marker == FRAME) {
            readFrame(at, end);
        } else if (marker == CODES) {
            readCodes(at, end);
        } else if (marker == SCAN) {
            readScan(at, end);
        } else if (marker == RESTART_INTERVAL && end - at >= 2) {
            interval = data.getShort(at) & 0xFFFF;
        } else if (marker >= 0xC0 && marker <= 0xCF) {
            throw new CaptureException(name
                    + " contains lossy or arithmetic JPEG; only lossless JPEG is supported.");
        }
    }

    private void readFrame(int at, int end) throws CaptureException {
        if (end - at < 6) {
            throw damaged();
        }
        precision = data.get(at) & 0xFF;
        rows = data.getShort(at + 1) & 0xFFFF;
        columns = data.getShort(at + 3) & 0xFFFF;
        components = data.get(at + 5) & 0xFF;
        boolean isValid = precision >= 2 && precision <= 16 && rows > 0 && columns > 0
                && components >= 1 && components <= MOST_COMPONENTS
                && end - at >= 6 + 3 * components;
        if (!isValid) {
            throw damaged();
        }
        for (int i = 0; i < components; i++) {
            identifiers[i] = data.get(at + 6 + 3 * i) & 0xFF;
            if (data.get(at + 7 + 3 * i) != 0x11) { // components of different sizes
                throw damaged();
            }
        }
    }

    private void readCodes(int at, int end) throws CaptureException {
        int place = at;
        while (place < end) {
            int index = data.get(place) & 0xFF;
            HuffmanCode code = HuffmanCode.read(data, place + 1, end);
            if (index > 3 || code == null) {
                throw damaged();
            }
            tables[index] = code;
            place += 1 + code.bytes;
        }
    }

    private void readScan(int at, int end) throws CaptureException {
        if (components == 0 || end - at < 4 + 2 * components || data.get(at) != components) {
            throw damaged();
        }
        for (int i = 0; i < components; i++) {
            int table = (data.get(at + 2 + 2 * i) & 0xFF) >> 4;
            boolean fits = (data.get(at + 1 + 2 * i) & 0xFF) == identifiers[i];
            if (!fits || table > 3 || tables[table] == null) {
                throw damaged();
            }
            codes[i] = tables[table];
        }
        predictor = data.get(at + 1 + 2 * components) & 0xFF;
        shift = data.get(at + 3 + 2 * components) & 0x0F;
        boolean isValid = predictor >= 1 && predictor <= 7 && shift < precision
                && interval % columns == 0;
        if (!isValid) {
            throw damaged();
        }
    }

    private CaptureException damaged() {
        return new CaptureException(
                name + " contains damaged lossless JPEG; copy it from the camera again.");
    }
}
