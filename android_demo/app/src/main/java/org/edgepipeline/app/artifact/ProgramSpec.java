package org.edgepipeline.app.artifact;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
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
        for (Constant one : constants) {
            found.add(one.file);
        }
        return found;
    }
}
