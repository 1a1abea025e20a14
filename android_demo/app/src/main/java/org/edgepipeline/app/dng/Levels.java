package org.edgepipeline.app.dng;

import org.edgepipeline.app.errors.CaptureException;

/** The filter's order and the levels of a capture, at the corner of its active area. */
final class Levels {
    private static final int LARGEST = 65535;

    final Cfa cfa;
    /** Black levels for R, G on red rows, G on blue rows, B. */
    final double[] black;
    final double white;
    /** Table from stored to linear values; null for none. */
    final short[] linear;

    private Levels(Cfa cfa, double[] black, double white, short[] linear) {
        this.cfa = cfa;
        this.black = black;
        this.white = white;
        this.linear = linear;
    }

    static Levels read(TiffDirectory raw, int bits, String name) throws CaptureException {
        Cfa cfa = cfaOf(raw, name);
        short[] linear = tableOf(raw);
        double[] black = blackOf(raw, cfa);
        double usual = linear == null ? (1 << bits) - 1 : linear[linear.length - 1] & 0xFFFF;
        double white = usual;
        double[] stated = raw.numbers(Tags.WHITE);
        if (stated.length > 0) {
            white = stated[0];
            for (double one : stated) {
                white = Math.min(white, one);
            }
        }
        double most = 0;
        for (double one : black) {
            most = Math.max(most, one);
        }
        if (!(white > most && white <= LARGEST)) {
            throw new CaptureException(name + " has black level " + (long) most
                    + " and white level " + (long) white + "; white must be above black.");
        }
        return new Levels(cfa, black, white, linear);
    }

    private static Cfa cfaOf(TiffDirectory raw, String name) throws CaptureException {
        double[] cell = raw.numbers(Tags.CFA_CELL);
        double[] colours = raw.numbers(Tags.CFA_PATTERN);
        boolean isSquare = cell.length == 0 || (cell.length == 2 && cell[0] == 2 && cell[1] == 2);
        if (isSquare && colours.length == 4) {
            for (Cfa one : Cfa.values()) {
                boolean fits = true;
                for (int i = 0; i < 4; i++) {
                    fits &= colours[i] == one.colour(i / 2, i % 2);
                }
                if (fits) {
                    return one;
                }
            }
        }
        throw new CaptureException(
                name + " has a colour filter of another kind; only Bayer sensors are supported.");
    }

    private static short[] tableOf(TiffDirectory raw) {
        double[] numbers = raw.numbers(Tags.LINEARIZATION);
        if (numbers.length == 0) {
            return null;
        }
        short[] table = new short[numbers.length];
        for (int i = 0; i < table.length; i++) {
            table[i] = (short) numbers[i];
        }
        return table;
    }

    /**
     * Returns the black level of each plane, as a whole number: that is what LibRaw gives, and with
     * it `edge-pipeline develop`.
     */
    private static double[] blackOf(TiffDirectory raw, Cfa cfa) {
        double[] stated = raw.numbers(Tags.BLACK);
        double[] cell = raw.numbers(Tags.BLACK_CELL);
        int rows = cell.length == 2 ? (int) cell[0] : 1;
        int columns = cell.length == 2 ? (int) cell[1] : 1;
        if (rows < 1 || columns < 1 || (long) rows * columns > stated.length) {
            rows = 1;
            columns = 1;
        }
        double[] sums = new double[4];
        int[] counts = new int[4];
        for (int row = 0; row < 2 * rows; row++) {
            for (int column = 0; column < 2 * columns; column++) {
                int plane = cfa.plane(row, column);
                sums[plane] += stated.length == 0
                        ? 0 : stated[(row % rows) * columns + column % columns];
                counts[plane]++;
            }
        }
        double more = Math.floor(mean(raw.numbers(Tags.BLACK_ACROSS)) + 0.5)
                + Math.floor(mean(raw.numbers(Tags.BLACK_DOWN)) + 0.5);
        double[] black = new double[4];
        for (int plane = 0; plane < 4; plane++) {
            double level = Math.floor(sums[plane] / counts[plane]) + more;
            black[plane] = level > 0 && level < LARGEST ? level : 0;
        }
        return black;
    }

    private static double mean(double[] numbers) {
        double sum = 0;
        for (double number : numbers) {
            sum += number;
        }
        return numbers.length == 0 ? 0 : sum / numbers.length;
    }
}
