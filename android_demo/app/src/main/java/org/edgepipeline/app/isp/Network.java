package org.edgepipeline.app.isp;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Manifest;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.TensorSpec;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.ArtifactException;
import org.edgepipeline.app.errors.RunException;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Runners;
import org.edgepipeline.app.runner.Tensor;
import org.edgepipeline.app.tiles.Span;

/** Runs an artifact's network over a signal of any size, tile by tile. */
final class Network implements AutoCloseable {
    private static final String INPUT = "packed";
    private static final String OUTPUT = "rgb";
    private static final int SCALE = 2;
    private static final int PLANES = 4;

    private final Artifact artifact;
    private final Manifest manifest;
    private final Runners runners;
    private final int largest;
    /** Compiled height and width in packed pixels; null if they are free. */
    private final int[] fixed;
    private Runner path;
    private final Map<String, Tensor> filters = new HashMap<>();

    /**
     * Opens an artifact for developing.
     *
     * @param artifact artifact
     * @param runners opener of programs
     * @param largest largest side of a tile in packed pixels, if the artifact's size is free
     * @throws ArtifactException if the artifact is not for developing, or cannot be tiled
     */
    Network(Artifact artifact, Runners runners, int largest) throws ArtifactException {
        this.artifact = artifact;
        this.manifest = artifact.manifest;
        this.runners = runners;
        this.largest = largest;
        TensorSpec packed = manifest.path().input(INPUT);
        boolean isBayer = packed.rank() == PLANES && packed.size(1) == PLANES
                && manifest.scale == SCALE && manifest.outputSpace.equals("camera_linear")
                && manifest.path().outputs.get(0).name.equals(OUTPUT);
        if (!isBayer) {
            throw new ArtifactException(artifact.folder.getName()
                    + " does not develop captures; give an artifact of isp_default.");
        }
        if (manifest.halo < 0 || manifest.filters.equals("dynamic")) {
            throw new ArtifactException(artifact.folder.getName()
                    + " cannot be run in tiles; compile it with --filters refolded or split.");
        }
        fixed = packed.isFree(2) ? null : new int[] {packed.size(2), packed.size(3)};
    }

    /** Returns the number that divides the sizes of a signal, in mosaic pixels. */
    int multiple() {
        return 2 * manifest.stride;
    }

    /** Predicts the filters for a signal, once, and loads the program that uses them. */
    void prepare(Signal signal) throws AppException {
        ProgramSpec predictor = manifest.predictor();
        if (predictor == null) {
            path = runners.open(artifact, manifest.path());
            return;
        }
        Map<String, Tensor> predicted;
        try (Runner runner = runners.open(artifact, predictor)) {
            predicted = runner.run(Collections.singletonMap(INPUT, view(signal, predictor)));
        }
        Map<String, float[]> weights = new HashMap<>();
        for (Map.Entry<String, Tensor> entry : predicted.entrySet()) {
            checkFinite(entry.getValue().values, "predicted the filter " + entry.getKey());
            weights.put(entry.getKey(), entry.getValue().values);
        }
        if (manifest.filters.equals("split")) {
            filters.putAll(predicted);
            path = runners.open(artifact, manifest.path());
        } else {
            path = runners.openWith(artifact, manifest.path(), weights);
        }
    }

    private Tensor view(Signal signal, ProgramSpec predictor) throws ArtifactException {
        TensorSpec spec = predictor.input(INPUT);
        Signal large = signal.grown(2 * least(0), 2 * least(1));
        int height = spec.isFree(2) ? View.side(large.height() / 2) : spec.size(2);
        int width = spec.isFree(3) ? View.side(large.width() / 2) : spec.size(3);
        return new Tensor(new int[] {1, PLANES, height, width}, View.of(large, height, width));
    }

    /** Returns the smallest packed height or width that the network accepts. */
    private int least(int axis) {
        int stride = manifest.stride;
        return fixed != null
                ? fixed[axis] : (manifest.minimum + stride - 1) / stride * stride;
    }

    /** Returns the tiles of a signal: pairs of rows and columns, row by row. */
    List<Span[]> tiles(Signal signal) throws ArtifactException {
        List<Span[]> tiles = new ArrayList<>();
        for (Span rows : spans(signal.height() / 2, 0)) {
            for (Span columns : spans(signal.width() / 2, 1)) {
                tiles.add(new Span[] {rows, columns});
            }
        }
        boolean isKept = !tiles.isEmpty();
        for (Span[] tile : tiles) {
            isKept &= tile[0].keeps(manifest.margin) && tile[1].keeps(manifest.margin);
        }
        if (!isKept) {
            throw new ArtifactException(artifact.folder.getName() + " accepts " + fixed[0] + " x "
                    + fixed[1] + " packed pixels, which leaves no core between halos of "
                    + manifest.halo + "; compile it with a larger --input.");
        }
        return tiles;
    }

    private List<Span> spans(int size, int axis) {
        return fixed != null
                ? Span.fixed(size, manifest.stride, manifest.halo, fixed[axis])
                : Span.flexible(size, manifest.stride, manifest.halo, largest, least(axis));
    }

    /**
     * Runs the network on a tile.
     *
     * @param signal signal, for which the network was prepared
     * @param tile rows and columns of the tile
     * @return linear camera RGB of the tile's core, three planes of twice its packed sizes
     */
    Tensor run(Signal signal, Span[] tile) throws RunException {
        int height = tile[0].stop - tile[0].start;
        int width = tile[1].stop - tile[1].start;
        float[] packed = new float[PLANES * height * width];
        signal.pack(tile[0].start, height, tile[1].start, width, packed,
                new int[] {height, width, 0, 0});
        Map<String, Tensor> inputs = new HashMap<>(filters);
        inputs.put(INPUT, new Tensor(new int[] {1, PLANES, height, width}, packed));
        Tensor rgb = path.run(inputs).get(OUTPUT);
        int[] shape = rgb.shape;
        boolean fits = shape.length == 4 && shape[1] >= 3
                && shape[2] == 2 * (height - 2 * manifest.margin)
                && shape[3] == 2 * (width - 2 * manifest.margin);
        if (!fits) {
            throw new RunException(artifact.folder.getName() + " returned "
                    + Tensor.text(shape) + " for a tile of " + height + " x " + width
                    + " packed pixels with a margin of " + manifest.margin
                    + "; compile the artifact again.");
        }
        float[] core = core(rgb.values, tile, height, width);
        checkFinite(core, "returned values");
        return new Tensor(new int[] {3, 2 * (tile[0].coreStop - tile[0].coreStart),
            2 * (tile[1].coreStop - tile[1].coreStart)}, core);
    }

    /** Returns the core of an output, which lacks the margin at each edge of its tile. */
    private float[] core(float[] rgb, Span[] tile, int packedHeight, int packedWidth) {
        int height = 2 * (packedHeight - 2 * manifest.margin);
        int width = 2 * (packedWidth - 2 * manifest.margin);
        int top = 2 * (tile[0].coreStart - tile[0].start - manifest.margin);
        int left = 2 * (tile[1].coreStart - tile[1].start - manifest.margin);
        int high = 2 * (tile[0].coreStop - tile[0].coreStart);
        int wide = 2 * (tile[1].coreStop - tile[1].coreStart);
        float[] core = new float[3 * high * wide];
        for (int colour = 0; colour < 3; colour++) {
            for (int row = 0; row < high; row++) {
                System.arraycopy(rgb, (colour * height + top + row) * width + left,
                        core, (colour * high + row) * wide, wide);
            }
        }
        return core;
    }

    private void checkFinite(float[] values, String what) throws RunException {
        for (float value : values) {
            if (!(Math.abs(value) <= Float.MAX_VALUE)) {
                throw new RunException(artifact.folder.getName() + " " + what
                        + " that are not finite; verify the artifact.");
            }
        }
    }

    @Override
    public void close() {
        if (path != null) {
            path.close();
            path = null;
        }
    }
}
