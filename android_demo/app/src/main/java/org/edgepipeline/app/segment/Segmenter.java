package org.edgepipeline.app.segment;

import java.util.Collections;
import java.util.List;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Manifest;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.TensorSpec;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.ArtifactException;
import org.edgepipeline.app.errors.RunException;
import org.edgepipeline.app.isp.Progress;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Tensor;
import org.edgepipeline.app.tiles.Span;

/** Segments pictures tile by tile; the labels are those of `edge-pipeline segment`. */
public final class Segmenter {
    /** Share of a tile's side that is not kept at an inner edge if the halo is not finite. */
    private static final int MARGIN_SHARE = 8;
    /** Side of a tile if the program accepts any size. */
    private static final int FREE_SIDE = 1024;
    private static final int MOST_LABELS = 255;
    /** Luma of ITU-R BT.601. */
    private static final float[] LUMA = {0.299f, 0.587f, 0.114f};

    /** Names of the labels. */
    public final LabelNames names;
    private final Manifest manifest;
    private final TensorSpec input;
    private final TensorSpec output;

    /**
     * Creates a segmenter.
     *
     * @param artifact artifact of a segmenter
     * @throws ArtifactException if its programs do not map one picture to scores for each pixel
     */
    public Segmenter(Artifact artifact) throws ArtifactException {
        manifest = artifact.manifest;
        for (ProgramSpec program : manifest.programs) {
            if (!isSegmenter(program)) {
                throw new ArtifactException(artifact.folder.getName() + " is no segmenter: "
                        + program.name + " maps no picture to scores for each pixel.");
            }
        }
        input = manifest.path().inputs.get(0);
        output = manifest.path().outputs.get(0);
        names = LabelNames.of(manifest, Math.max(2, output.size(1)));
    }

    private boolean isSegmenter(ProgramSpec program) {
        TensorSpec picture = program.inputs.get(0);
        TensorSpec scores = program.outputs.get(0);
        boolean isPicture = manifest.outputSpace.equals("camera_linear")
                || manifest.outputSpace.equals("srgb");
        boolean fits = program.inputs.size() == 1 && program.outputs.size() == 1
                && isNchw(picture) && isNchw(scores) && !isPicture;
        return fits && (picture.size(1) == 1 || picture.size(1) == 3)
                && scores.size(1) <= MOST_LABELS
                && sides(picture).equals(sides(scores))
                && picture.shapeText().equals(manifest.path().inputs.get(0).shapeText())
                && scores.shapeText().equals(manifest.path().outputs.get(0).shapeText());
    }

    /** Returns the longest side of a picture that one tile holds. */
    public int side() {
        int high = input.isFree(2) ? FREE_SIDE : input.size(2);
        int wide = input.isFree(3) ? FREE_SIDE : input.size(3);
        return Math.min(high, wide);
    }

    private static boolean isNchw(TensorSpec tensor) {
        return tensor.rank() == 4 && tensor.layout.equals("NCHW")
                && tensor.dtype.equals("float32") && !tensor.isFree(0) && tensor.size(0) == 1
                && !tensor.isFree(1);
    }

    private static String sides(TensorSpec tensor) {
        String[] parts = tensor.shapeText().split("x", 3);
        return parts[2];
    }

    /**
     * Segments a picture.
     *
     * @param runner the artifact's program, at any phi
     * @param picture picture of any size
     * @param progress is told how far the work has come, and can end it
     * @return label of each pixel, row by row
     * @throws AppException if the runtime fails, or work was cancelled
     */
    public byte[] segment(Runner runner, PixelSource picture, Progress progress)
            throws AppException {
        List<Span> rows = spans(picture.height(), 2);
        List<Span> columns = spans(picture.width(), 3);
        byte[] labels = new byte[Math.multiplyExact(picture.height(), picture.width())];
        int total = rows.size() * columns.size();
        int done = 0;
        for (Span row : rows) {
            for (Span column : columns) {
                progress.report(done++, total);
                Tensor cut = cut(picture, row, column);
                Tensor scores = runner.run(Collections.singletonMap(input.name, cut))
                        .get(output.name);
                keep(scores, row, column, labels, picture.width());
            }
        }
        progress.report(total, total);
        return labels;
    }

    private List<Span> spans(int size, int axis) {
        int window = input.size(axis);
        if (input.isFree(axis)) {
            int halo = Math.max(0, manifest.halo);
            int side = Math.max(manifest.minimum, Math.min(size, Math.max(FREE_SIDE, 8 * halo)));
            window = (side + manifest.stride - 1) / manifest.stride * manifest.stride;
        }
        boolean fits = manifest.halo >= 0 && window - 2 * manifest.halo >= manifest.stride;
        int margin = fits ? manifest.halo : window / MARGIN_SHARE;
        return Span.overlapping(size, window, margin, manifest.stride);
    }

    /** Returns the window of a tile, extended by reflection: 1 x C x h x w, 0 to 1. */
    private Tensor cut(PixelSource picture, Span row, Span column) {
        int[] down = row.places(picture.height());
        int[] across = column.places(picture.width());
        int left = least(across);
        int[] line = new int[most(across) + 1 - left];
        int channels = input.size(1);
        int plane = row.window() * column.window();
        float[] values = new float[Math.multiplyExact(channels, plane)];
        for (int y = 0; y < row.window(); y++) {
            picture.read(line, left, down[y], line.length, 1);
            for (int x = 0; x < column.window(); x++) {
                int pixel = line[across[x] - left];
                int at = y * column.window() + x;
                float red = (pixel >> 16 & 0xFF) / 255f;
                float green = (pixel >> 8 & 0xFF) / 255f;
                float blue = (pixel & 0xFF) / 255f;
                if (channels == 1) {
                    values[at] = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue;
                } else {
                    values[at] = red;
                    values[at + plane] = green;
                    values[at + 2 * plane] = blue;
                }
            }
        }
        return new Tensor(new int[] {1, channels, row.window(), column.window()}, values);
    }

    private static int least(int[] values) {
        int least = values[0];
        for (int value : values) {
            least = Math.min(least, value);
        }
        return least;
    }

    private static int most(int[] values) {
        int most = values[0];
        for (int value : values) {
            most = Math.max(most, value);
        }
        return most;
    }

    /** Stores the most probable labels of the part of a tile that is kept. */
    private void keep(Tensor scores, Span row, Span column, byte[] labels, int width)
            throws RunException {
        int count = scores.shape[1];
        int plane = row.window() * column.window();
        for (float score : scores.values) {
            if (!(Math.abs(score) <= Float.MAX_VALUE)) {
                throw new RunException(manifest.title
                        + " returned values that are not finite; verify the artifact.");
            }
        }
        for (int y = row.coreStart; y < row.coreStop; y++) {
            for (int x = column.coreStart; x < column.coreStop; x++) {
                int at = (y - row.start) * column.window() + x - column.start;
                int best = count == 1 && scores.values[at] > 0 ? 1 : 0;
                float most = scores.values[at];
                for (int label = 1; label < count; label++) {
                    float score = scores.values[at + label * plane];
                    if (score > most) {
                        most = score;
                        best = label;
                    }
                }
                labels[y * width + x] = (byte) best;
            }
        }
    }
}
