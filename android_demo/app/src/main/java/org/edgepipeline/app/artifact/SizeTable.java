package org.edgepipeline.app.artifact;

import org.edgepipeline.app.errors.ArtifactException;

/** Map sizes and costs of a program as functions of phi, constant between the table's breaks. */
final class SizeTable {
    /** Smallest phi of each row, ascending. */
    private final double[] breaks;
    private final long[][] rows;
    /** Column of the multiply-accumulate operations; -1 if they do not depend on phi. */
    private final int macs;

    SizeTable(String file, Node spec, TensorFile.Entry breaks, TensorFile.Entry numbers)
            throws ArtifactException {
        boolean fits = breaks != null && numbers != null && breaks.is("F64", 8, 1)
                && numbers.is("I64", 8, 2) && breaks.shape[0] == numbers.shape[0]
                && breaks.shape[0] > 0;
        if (!fits) {
            throw damaged(file);
        }
        this.breaks = new double[breaks.shape[0]];
        this.rows = new long[breaks.shape[0]][numbers.shape[1]];
        for (int row = 0; row < rows.length; row++) {
            this.breaks[row] = breaks.number(row);
            for (int column = 0; column < rows[row].length; column++) {
                rows[row][column] = numbers.whole(row * rows[row].length + column);
                fits &= rows[row][column] >= 0;
            }
            fits &= row == 0 || this.breaks[row] > this.breaks[row - 1];
        }
        if (!fits) {
            throw damaged(file);
        }
        Node column = spec.get("macs");
        macs = column.isNull() ? -1 : (int) column.whole(0, numbers.shape[1] - 1);
    }

    private static ArtifactException damaged(String file) {
        return new ArtifactException(
                file + " contains a damaged table of map sizes; compile the artifact again.");
    }

    /** Returns the smallest phi of the table. */
    double first() {
        return breaks[0];
    }

    /** Returns the numbers at a value of phi; those of the first row below it. */
    long[] at(double phi) {
        int row = 0;
        while (row + 1 < breaks.length && breaks[row + 1] <= phi) {
            row++;
        }
        return rows[row];
    }

    /** Returns the multiply-accumulate operations of a row, or `missing` if no column has them. */
    long macs(long[] row, long missing) {
        return macs < 0 ? missing : row[macs];
    }
}
