package org.edgepipeline.app.runner;

import java.io.File;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.TensorSpec;
import org.edgepipeline.app.artifact.Variant;
import org.edgepipeline.app.artifact.Weights;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;

/** Opens programs in the runtime that the manifest names. */
public final class Runners {
    /** Folder for temporary files, such as a program with the filters of a capture. */
    private final File temporary;
    private final int threads;
    private final String delegate;

    /**
     * Creates an opener for the default delegate of each runtime.
     *
     * @param temporary folder for temporary files
     * @param threads number of threads that compute, 1 or more
     */
    public Runners(File temporary, int threads) {
        this(temporary, threads, null);
    }

    /**
     * Creates an opener.
     *
     * @param temporary folder for temporary files
     * @param threads number of threads that compute, 1 or more
     * @param delegate one of {@link #delegates}; null for the default one of each runtime
     */
    public Runners(File temporary, int threads, String delegate) {
        this.temporary = temporary;
        this.threads = Math.max(1, threads);
        this.delegate = delegate;
    }

    /** Returns the names of the delegates that a runtime may have, the default one first. */
    public static List<String> delegates(String backend) {
        return backend.equals("onnx") ? Collections.singletonList("cpu")
                : Arrays.asList(LiteRtDelegate.DEFAULT, "cpu", "nnapi", "gpu");
    }

    /**
     * Returns the name of the delegate on which the artifacts of a backend run.
     *
     * @throws RunException if the runtime does not know the one that was asked for
     */
    public String delegate(String backend) throws RunException {
        List<String> known = delegates(backend);
        if (delegate != null && !known.contains(delegate)) {
            throw new RunException("Artifacts for " + backend + " run on the delegate "
                    + String.join(", ", known) + "; got " + delegate + ".");
        }
        return delegate == null ? known.get(0) : delegate;
    }

    /**
     * Loads a program.
     *
     * @param artifact artifact
     * @param program one of its programs
     * @throws AppException if the runtime is missing or cannot load the program
     */
    public Runner open(Artifact artifact, ProgramSpec program) throws AppException {
        return load(artifact, program, Collections.<String, byte[]>emptyMap());
    }

    /**
     * Loads a program with other weights, which are packed while it is loaded.
     *
     * @param artifact artifact
     * @param program one of its programs
     * @param weights all exchangeable weights by name, in the shapes of the source network
     * @throws AppException if the weights do not fit, or as for {@link #open}
     */
    public Runner openWith(Artifact artifact, ProgramSpec program, Map<String, float[]> weights)
            throws AppException {
        return load(artifact, program, Weights.replaced(artifact, program, weights));
    }

    /**
     * Loads a program at a value of phi.
     *
     * @param artifact artifact
     * @param variant one of its programs, and the files that change
     * @throws AppException if the runtime is missing or cannot load the program
     */
    public Runner open(Artifact artifact, Variant variant) throws AppException {
        return load(artifact, variant.program, variant.files);
    }

    private Runner load(Artifact artifact, ProgramSpec program, Map<String, byte[]> replaced)
            throws AppException {
        String backend = artifact.manifest.backend;
        for (TensorSpec one : program.inputs) {
            if (!one.dtype.equals("float32")) {
                throw new RunException("The input " + one.name + " of " + program.name + " is "
                        + one.dtype + "; the app runs programs with float32 inputs.");
            }
        }
        if (backend.equals("onnx")) {
            delegate(backend); // refuses one that it does not have
            return OnnxRunner.open(artifact, program, replaced, threads, temporary);
        }
        if (backend.equals("litert")) {
            return LiteRtRunner.open(artifact, program, replaced, threads, delegate(backend));
        }
        throw new RunException(artifact.folder.getName() + " was compiled for " + backend
                + "; this app runs artifacts for onnx and litert.");
    }

    /** Returns the values of the free sizes after checking the inputs of a run. */
    static Map<String, Integer> checkedInputs(ProgramSpec program, Map<String, Tensor> inputs)
            throws RunException {
        Map<String, Integer> sizes = new HashMap<>();
        for (TensorSpec one : program.inputs) {
            Tensor value = inputs.get(one.name);
            if (value == null || !one.fits(value.shape, sizes)) {
                throw new RunException(program.name + " requires " + one.name + " as "
                        + one.shapeText() + ", got "
                        + (value == null ? "none" : Tensor.text(value.shape)) + ".");
            }
        }
        if (inputs.size() != program.inputs.size()) {
            throw new RunException(program.name + " has " + program.inputs.size()
                    + " inputs, got " + inputs.size() + ".");
        }
        return sizes;
    }

    /** Returns an empty map of outputs, which keeps their order. */
    static Map<String, Tensor> outputs() {
        return new LinkedHashMap<>();
    }

    /** Returns the failure of a runtime; its own message is not for people. */
    static RunException failure(String runtime, String action, ProgramSpec program) {
        return new RunException(runtime + " could not " + action + " " + program.name
                + "; compile the artifact again for this version of the runtime.");
    }
}
