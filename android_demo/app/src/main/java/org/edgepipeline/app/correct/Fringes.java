package org.edgepipeline.app.correct;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.isp.Progress;

/**
 * Measures lateral colour fringes: red and blue that a lens shifts against green.
 *
 * <p>It computes what `edge_pipeline/raw/fringes.py` computes, which explains the method and names
 * its sources. Blocks are read again in each round, so that only one of them takes memory.
 */
final class Fringes {
    private static final int ROUNDS = 4;
    private static final int LEAST_BLOCKS = 24;
    private static final double LARGEST = 6;
    private static final double DEVIATIONS = 3;
    private static final double PREDICTION = 0.75;
    private static final double LEAST_RMS = 0.1;
    private static final int LARGEST_ROWS = 24;
    private static final int LARGEST_COLUMNS = 16;
    private static final float SATURATED = 0.95f;

    /** Displacement against green. */
    final Displacement displacement;
    /** Number of blocks with edges that were used. */
    final int blocks;
    /** Share of the displacements that each half of the blocks leaves of the other half. */
    final double prediction;
    /** Whether the displacement is certain, and large enough, to be corrected. */
    final boolean isCertain;

    private Fringes(Displacement displacement, int blocks, double prediction, boolean isCertain) {
        this.displacement = displacement;
        this.blocks = blocks;
        this.prediction = prediction;
        this.isCertain = isCertain;
    }

    private static Fringes uncertain(int blocks) {
        return new Fringes(Displacement.NONE, blocks, 1, false);
    }

    /**
     * Measures red or blue.
     *
     * @param cells the capture
     * @param corners rows and columns of blocks, as {@link #corners} returns them
     * @param plane 0 for red or 3 for blue
     * @param progress can end the work
     */
    static Fringes measured(Cells cells, List<int[]> corners, int plane, Progress progress)
            throws CancelledException {
        if (corners.size() < LEAST_BLOCKS) {
            return uncertain(0);
        }
        int[] size = {cells.height, cells.width};
        Fit fit = new Fit(size);
        Displacement total = Displacement.NONE;
        Displacement removed = total;
        List<Fit.Block> found = Collections.emptyList();
        for (int round = 0; round < ROUNDS; round++) {
            removed = total;
            found = blocks(cells, corners, plane, removed, progress);
            if (found.size() < LEAST_BLOCKS) {
                return uncertain(found.size());
            }
            total = total.plus(fit.all(found));
            if (total.rms(size) > LARGEST) {
                return uncertain(found.size());
            }
        }
        List<Fit.Block> whole = whole(found, removed, size);
        int[] used = fit.chosen(whole);
        double prediction = fit.prediction(whole, used);
        total = fit.fitted(whole, used);
        double rms = total.rms(size);
        double needed = Math.min(PREDICTION, 1 - DEVIATIONS / Math.sqrt(whole.size()));
        return new Fringes(total, whole.size(), prediction,
                prediction < needed && rms >= LEAST_RMS && rms <= LARGEST);
    }

    private static List<Fit.Block> blocks(Cells cells, List<int[]> corners, int plane,
            Displacement removed, Progress progress) throws CancelledException {
        int[] size = {cells.height, cells.width};
        List<Fit.Block> found = new ArrayList<>();
        for (int[] corner : corners) {
            progress.report(0, 0);
            Fit.Block block = new EdgeBlock(cells, plane, corner[0], corner[1])
                    .measured(removed, size, LARGEST);
            if (block != null) {
                found.add(block);
            }
        }
        return found;
    }

    /** Returns the whole displacements of blocks, not only what the last round left. */
    private static List<Fit.Block> whole(
            List<Fit.Block> found, Displacement removed, int[] size) {
        List<Fit.Block> whole = new ArrayList<>();
        float[] moved = new float[2];
        for (Fit.Block one : found) {
            removed.at(one.row, one.column, size, moved);
            whole.add(new Fit.Block(one.row, one.column,
                    one.down + moved[0], one.right + moved[1], one.weight));
        }
        return whole;
    }

    /** Returns the blocks with the strongest edges of green, in up to 24 rows of a grid. */
    static List<int[]> corners(Cells cells) {
        int border = EdgeBlock.BORDER;
        int side = EdgeBlock.SIDE;
        int down = Math.max(0, (cells.height / 2 - 2 * border) / side);
        int across = Math.max(0, (cells.width / 2 - 2 * border) / side);
        List<int[]> corners = new ArrayList<>();
        int rows = across == 0 ? 0 : Math.min(down, LARGEST_ROWS);
        for (int i = 0; i < rows; i++) {
            double place = rows == 1 ? 0 : (down - 1.0) * i / (rows - 1);
            int top = border + (int) Math.rint(place) * side;
            double[] edges = edges(cells, top, border, across);
            boolean[] isKept = strongest(edges);
            for (int column = 0; column < across; column++) {
                if (isKept[column]) {
                    corners.add(new int[] {top, border + column * side});
                }
            }
        }
        return corners;
    }

    /** Marks the largest values; of equal ones, the first. */
    private static boolean[] strongest(double[] edges) {
        Integer[] order = new Integer[edges.length];
        for (int i = 0; i < order.length; i++) {
            order[i] = i;
        }
        Arrays.sort(order, (one, other) -> Double.compare(edges[other], edges[one]));
        boolean[] isKept = new boolean[edges.length];
        for (int i = 0; i < Math.min(order.length, LARGEST_COLUMNS); i++) {
            isKept[order[i]] = true;
        }
        return isKept;
    }

    /** Returns the sums of the squared differences of green in a row of blocks. */
    private static double[] edges(Cells cells, int top, int left, int count) {
        int side = EdgeBlock.SIDE;
        int wide = count * side;
        float[] green = cells.plane(1, top, side, left, wide);
        for (int i = 0; i < green.length; i++) {
            green[i] = Math.min(green[i], SATURATED);
        }
        double[] sums = new double[count];
        for (int i = 0; i < green.length; i++) {
            int column = i % wide;
            float below = i + wide < green.length ? green[i + wide] - green[i] : 0;
            float beside = column % side < side - 1 ? green[i + 1] - green[i] : 0;
            sums[column / side] += below * below + beside * beside;
        }
        return sums;
    }
}
