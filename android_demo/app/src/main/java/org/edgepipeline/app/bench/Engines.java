package org.edgepipeline.app.bench;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtLoggingLevel;
import java.io.File;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Runners;
import org.tensorflow.lite.TensorFlowLite;

/** Opens the programs of a measurement in their runtimes, on a delegate. */
class Engines {
    private static final List<String> LITERT_DELEGATES =
            Arrays.asList("xnnpack", "cpu", "nnapi", "gpu");
    private static final List<String> ONNX_DELEGATES = Arrays.asList("cpu");

    private final Runners runners;
    private final int threads;
    private final String delegate;

    /**
     * Creates an opener.
     *
     * @param temporary folder for temporary files
     * @param threads number of threads that compute
     * @param delegate name of a delegate; null for the default one of each runtime
     */
    Engines(File temporary, int threads, String delegate) {
        this.runners = new Runners(temporary, threads);
        this.threads = threads;
        this.delegate = delegate;
    }

    /** Returns the versions of the runtimes in this app, by the backend of their artifacts. */
    Map<String, String> versions() {
        Map<String, String> found = new LinkedHashMap<>();
        for (String backend : new String[] {"litert", "onnx"}) {
            try {
                found.put(backend, load(backend));
            } catch (RunException error) {
                continue; // its artifacts are refused with this sentence
            }
        }
        return found;
    }

    /**
     * Loads the libraries of a runtime without a program.
     *
     * @param backend backend of an artifact
     * @return version of the runtime
     * @throws RunException if the app does not contain the runtime
     */
    String load(String backend) throws RunException {
        try {
            if (backend.equals("onnx")) {
                return OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL)
                        .getVersion();
            }
            if (backend.equals("litert")) {
                TensorFlowLite.init();
                return TensorFlowLite.runtimeVersion();
            }
        } catch (LinkageError | IllegalStateException error) {
            throw new RunException("The runtime of " + backend
                    + " artifacts is not in this build of the app, or not for this processor.");
        }
        throw new RunException("An artifact was compiled for " + backend
                + "; this app runs artifacts for onnx and litert.");
    }

    /** Returns the name of the delegate on which the artifacts of a backend run. */
    String delegate(String backend) throws RunException {
        List<String> known = backend.equals("onnx") ? ONNX_DELEGATES : LITERT_DELEGATES;
        if (delegate == null) {
            return known.get(0);
        }
        if (!known.contains(delegate)) {
            throw new RunException("Artifacts for " + backend + " run on the delegate "
                    + String.join(", ", known) + "; got " + delegate + ".");
        }
        return delegate;
    }

    /**
     * Loads a program.
     *
     * @param artifact artifact
     * @param program one of its programs
     * @throws AppException if the runtime or the delegate is missing, or cannot load the program
     */
    Runner open(Artifact artifact, ProgramSpec program) throws AppException {
        String backend = artifact.manifest.backend;
        boolean isDefault = !backend.equals("litert") || delegate(backend).equals("xnnpack");
        if (backend.equals("onnx")) {
            delegate(backend); // refuses one that it does not have
        }
        return isDefault ? runners.open(artifact, program)
                : DelegatedLiteRt.open(artifact, program, delegate(backend), threads);
    }
}
