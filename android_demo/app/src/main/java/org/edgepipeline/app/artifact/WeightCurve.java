package org.edgepipeline.app.artifact;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.ArtifactException;

/**
 * The weights of a program as functions of a fixed input, such as phi.
 *
 * <p>A weight is interpolated between two knots, or it is the product of interpolated coefficients
 * and a basis. The numbers are computed in the order of `edge_pipeline/artifact/weight_curve.py`,
 * so that they have the same bits. The file is mapped, so only the pages of two knots are read.
 */
final class WeightCurve {
    private static final String KEY = "edge_pipeline.weight_curve";
    private static final String COEFFICIENTS = ":coefficients";
    private static final String BASIS = ":basis";
    private static final int VERSION = 2;

    /** Name of the fixed input. */
    final String input;
    /** Values of the input at the knots, ascending. */
    final double[] knots;
    /** Map sizes, or null if they do not depend on the input. */
    final SizeTable table;
    private final Map<String, TensorFile.Entry> weights = new HashMap<>();
    private final Map<String, TensorFile.Entry> bases = new HashMap<>();
    private final Map<String, TensorFile.Entry> coefficients = new HashMap<>();

    private WeightCurve(String name, TensorFile file) throws ArtifactException {
        Node text = file.metadata.get(KEY);
        if (text == null) {
            throw new ArtifactException(
                    name + " does not contain a weight curve; compile the artifact again.");
        }
        Node spec = Node.parse(name, text.text());
        spec.checkKeys("format", "version", "input", "knots", "table");
        spec.get("version").whole(1, VERSION);
        input = spec.get("input").text();
        List<Node> values = spec.get("knots").items();
        knots = new double[values.size()];
        for (int i = 0; i < knots.length; i++) {
            knots[i] = values.get(i).number();
            if (i > 0 && !(knots[i - 1] < knots[i])) {
                throw spec.get("knots").fault("ascending numbers");
            }
        }
        if (knots.length < 2) {
            throw spec.get("knots").fault("at least two numbers");
        }
        Map<String, TensorFile.Entry> entries = new HashMap<>(file.entries);
        TensorFile.Entry breaks = entries.remove(":breaks");
        TensorFile.Entry numbers = entries.remove(":numbers");
        Node columns = spec.get("table");
        table = columns.isNull() ? null : new SizeTable(name, columns, breaks, numbers);
        for (Map.Entry<String, TensorFile.Entry> one : entries.entrySet()) {
            sort(name, one.getKey(), one.getValue());
        }
        if (!bases.keySet().equals(coefficients.keySet())) {
            throw unfit(name, "a product");
        }
        for (Map.Entry<String, TensorFile.Entry> one : bases.entrySet()) {
            if (coefficients.get(one.getKey()).shape[1] != one.getValue().shape[0]) {
                throw unfit(name, one.getKey());
            }
        }
    }

    private void sort(String file, String name, TensorFile.Entry entry) throws ArtifactException {
        int rank = entry.shape.length;
        int first = rank == 0 ? 0 : entry.shape[0];
        boolean fits;
        if (name.endsWith(COEFFICIENTS)) {
            fits = entry.is("F64", 8, 2) && first == knots.length;
            coefficients.put(name.substring(0, name.length() - COEFFICIENTS.length()), entry);
        } else if (name.endsWith(BASIS)) {
            fits = entry.is("F32", 4, rank) && rank > 0;
            bases.put(name.substring(0, name.length() - BASIS.length()), entry);
        } else {
            fits = entry.is("F32", 4, rank) && (first == 1 || first == knots.length);
            weights.put(name, entry);
        }
        if (!fits) {
            throw unfit(file, name);
        }
    }

    private static ArtifactException unfit(String file, String name) {
        return new ArtifactException(
                file + ": " + name + " does not fit the knots; compile the artifact again.");
    }

    /**
     * Opens the curve of an artifact whose files were checked.
     *
     * @param artifact artifact
     * @param name name of the file
     * @throws ArtifactException if the file is not a weight curve
     */
    static WeightCurve open(Artifact artifact, String name) throws ArtifactException {
        try (RandomAccessFile file = new RandomAccessFile(artifact.path(name), "r");
                FileChannel channel = file.getChannel()) {
            if (channel.size() > Integer.MAX_VALUE) {
                throw new IOException(name);
            }
            return of(name, channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()));
        } catch (IOException error) {
            throw new ArtifactException(
                    artifact.folder.getName() + "/" + name + " cannot be read; copy it again.");
        }
    }

    /** Reads a curve from the content of its file. */
    static WeightCurve of(String name, ByteBuffer content) throws ArtifactException {
        return new WeightCurve(name, TensorFile.of(name, content));
    }

    /** Returns the smallest value of the input. */
    double low() {
        return knots[0];
    }

    /** Returns the largest value of the input. */
    double high() {
        return knots[knots.length - 1];
    }

    /**
     * Returns the weights at a value of the input.
     *
     * @param value value from {@link #low} to {@link #high}
     * @return the weights by name, in the shapes of the source network
     */
    Map<String, float[]> at(double value) {
        int place = 1;
        while (place < knots.length - 1 && knots[place] <= value) {
            place++;
        }
        double share = (value - knots[place - 1]) / (knots[place] - knots[place - 1]);
        Map<String, float[]> found = new HashMap<>();
        for (Map.Entry<String, TensorFile.Entry> one : weights.entrySet()) {
            found.put(one.getKey(), between(one.getValue(), place, share));
        }
        for (Map.Entry<String, TensorFile.Entry> one : bases.entrySet()) {
            TensorFile.Entry factors = coefficients.get(one.getKey());
            found.put(one.getKey(), product(factors, one.getValue(), place, share));
        }
        return found;
    }

    private static float[] between(TensorFile.Entry entry, int place, double share) {
        int size = (int) entry.count(1);
        float[] made = new float[size];
        boolean isConstant = entry.shape[0] == 1;
        float above = (float) share; // NumPy multiplies a float32 array by a Python float so
        for (int i = 0; i < size; i++) {
            made[i] = isConstant ? entry.single(i)
                    : (float) ((1 - share) * entry.single((place - 1) * size + i)
                            + (double) (above * entry.single(place * size + i)));
        }
        return made;
    }

    private static float[] product(
            TensorFile.Entry factors, TensorFile.Entry basis, int place, double share) {
        int rank = basis.shape[0];
        int size = (int) basis.count(1);
        double[] total = new double[size];
        for (int row = 0; row < rank; row++) {
            double factor = (1 - share) * factors.number((place - 1) * rank + row)
                    + share * factors.number(place * rank + row);
            for (int i = 0; i < size; i++) {
                total[i] += factor * basis.single(row * size + i);
            }
        }
        float[] made = new float[size];
        for (int i = 0; i < size; i++) {
            made[i] = (float) total[i];
        }
        return made;
    }
}
