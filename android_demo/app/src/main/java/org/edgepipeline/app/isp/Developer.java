package org.edgepipeline.app.isp;

import java.util.List;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.Matrices;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.runner.Runners;
import org.edgepipeline.app.runner.Tensor;
import org.edgepipeline.app.tiles.Span;

/**
 * Develops captures: normalises them, runs the network on tiles, applies colour and tone.
 *
 * <p>A picture is that of `edge-pipeline develop --hot-pixels off --fringes off`, or that of
 * `develop` without options if the capture was corrected before. Besides the capture, the memory
 * is that of one tile.
 */
public final class Developer {
    /** Largest side of a tile in packed pixels: about 40 MB in the runtime. */
    private static final int LARGEST_TILE = 256;

    private final Artifact artifact;
    private final Runners runners;
    private final int largestTile;

    /**
     * Creates a developer.
     *
     * @param artifact artifact that develops captures
     * @param runners opener of programs
     */
    public Developer(Artifact artifact, Runners runners) {
        this(artifact, runners, LARGEST_TILE);
    }

    /** As the public constructor, with another largest side of a tile in packed pixels. */
    Developer(Artifact artifact, Runners runners, int largestTile) {
        this.artifact = artifact;
        this.runners = runners;
        this.largestTile = largestTile;
    }

    /**
     * Develops a capture.
     *
     * @param capture capture
     * @param picture receives the upright picture, encoded sRGB
     * @param progress is told how far the work has come
     * @throws AppException if the artifact does not fit, the runtime fails, or work was cancelled
     */
    public void develop(Capture capture, PictureSink picture, Progress progress)
            throws AppException {
        progress.report(0, 0);
        Orientation orientation =
                new Orientation(capture.orientation, capture.width, capture.height);
        try (Network network = new Network(artifact, runners, largestTile)) {
            Light light = new Light(capture);
            double white = light.normaliseHeadroom();
            progress.report(0, 0);
            Signal signal = new Signal(light, network.multiple());
            network.prepare(signal);
            ColourConversion colours =
                    new ColourConversion(Matrices.cameraToSrgb(capture.xyzToCamera), white);
            picture.begin(orientation.uprightWidth(), orientation.uprightHeight());
            List<Span[]> tiles = network.tiles(signal);
            for (int i = 0; i < tiles.size(); i++) {
                progress.report(i, tiles.size());
                Tensor core = network.run(signal, tiles.get(i));
                int top = 2 * tiles.get(i)[0].coreStart - signal.top;
                int left = 2 * tiles.get(i)[1].coreStart - signal.left;
                place(core, top, left, capture, colours, orientation, picture);
            }
            progress.report(tiles.size(), tiles.size());
        }
    }

    /** Converts the part of a core that lies inside the capture, and passes it to the picture. */
    private static void place(Tensor core, int top, int left, Capture capture,
            ColourConversion colours, Orientation orientation, PictureSink picture) {
        int firstRow = Math.max(0, top);
        int firstColumn = Math.max(0, left);
        int high = Math.min(capture.height, top + core.shape[1]) - firstRow;
        int wide = Math.min(capture.width, left + core.shape[2]) - firstColumn;
        if (high <= 0 || wide <= 0) {
            return;
        }
        int plane = core.shape[1] * core.shape[2];
        int[] block = new int[high * wide];
        for (int row = 0; row < high; row++) {
            int from = (row + firstRow - top) * core.shape[2] + firstColumn - left;
            for (int column = 0; column < wide; column++) {
                int at = from + column;
                block[row * wide + column] = colours.argb(core.values[at],
                        core.values[at + plane], core.values[at + 2 * plane]);
            }
        }
        orientation.place(block, firstRow, firstColumn, high, wide, picture);
    }
}
