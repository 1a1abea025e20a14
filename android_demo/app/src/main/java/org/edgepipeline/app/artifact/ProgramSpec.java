package org.edgepipeline.app.artifact;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.ArtifactException;

/** One compiled program of an artifact: its files, its tensors, and its exchangeable weights. */
public final class ProgramSpec {
    /** Name of the program, such as forward or predict_filters. */
    public final String name;
    /** Name of the model file. */
    public final String file;
    /** Inputs in the order of a call. */
    public final List<TensorSpec> inputs;
    /** Outputs in the order of a call. */
    public final List<TensorSpec> outputs;
    /** Names of further files of the program. */
    public final List<String> extra;
    /** Multiply-accumulate operations of one run at the reference input. */
    public final long macs;
    final String graph;
    final String reference;
    final List<Constant> constants;
    /** Places of the map sizes that depend on phi; empty if none does. */
    final List<MapSize> sizes;
    /** Numbers for which this program was compiled, by name; empty if the manifest has them. */
    final Map<String, Double> fixed;
    /** Name of the file of this program's weight curve, or null. */
    final String curve;

    ProgramSpec(Node node) throws ArtifactException {
        node.checkKeys("name", "file", "inputs", "outputs", "macs", "flops", "delegation",
                "reference", "extra", "graph", "constants", "sizes", "fixed", "curve", "variation",
                "passes");
        name = node.get("name").text();
        file = FileNames.of(node.get("file"));
        reference = FileNames.of(node.get("reference"));
        graph = node.get("graph").isNull() ? null : FileNames.of(node.get("graph"));
        macs = node.get("macs").whole(0, 1L << 53);
        inputs = tensors(node.get("inputs"));
        outputs = tensors(node.get("outputs"));
        List<String> files = new ArrayList<>();
        for (Node one : node.get("extra").items()) {
            files.add(FileNames.of(one));
        }
        extra = Collections.unmodifiableList(files);
        List<Constant> places = new ArrayList<>();
        for (Node one : node.get("constants").items()) {
            places.add(new Constant(one));
        }
        constants = Collections.unmodifiableList(places);
        List<MapSize> numbers = new ArrayList<>();
        if (!node.get("sizes").isNull()) {
            for (Node one : node.get("sizes").get("numbers").items()) {
                numbers.add(new MapSize(one));
            }
        }
        sizes = Collections.unmodifiableList(numbers);
        fixed = Manifest.numbers(node.get("fixed"));
        curve = node.get("curve").isNull() ? null : FileNames.of(node.get("curve"));
    }

    private static List<TensorSpec> tensors(Node node) throws ArtifactException {
        List<TensorSpec> found = new ArrayList<>();
        for (Node one : node.items()) {
            found.add(new TensorSpec(one));
        }
        if (found.isEmpty()) {
            throw node.fault("at least one tensor");
        }
        return Collections.unmodifiableList(found);
    }

    /**
     * Returns the input of a name.
     *
     * @throws ArtifactException if the program has none
     */
    public TensorSpec input(String input) throws ArtifactException {
        return named(inputs, input);
    }

    private TensorSpec named(List<TensorSpec> tensors, String tensor) throws ArtifactException {
        for (TensorSpec one : tensors) {
            if (one.name.equals(tensor)) {
                return one;
            }
        }
        throw new ArtifactException("The program " + name + " has no tensor " + tensor
                + "; compile a network for this task.");
    }

    /** Returns the names of all files that the program refers to. */
    List<String> files() {
        List<String> found = new ArrayList<>(extra);
        found.add(file);
        found.add(reference);
        if (graph != null) {
            found.add(graph);
        }
        if (curve != null) {
            found.add(curve);
        }
        for (Constant one : constants) {
            found.add(one.file);
        }
        return found;
    }
}
