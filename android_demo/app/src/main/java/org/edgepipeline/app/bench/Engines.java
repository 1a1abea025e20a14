package org.edgepipeline.app.bench;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtLoggingLevel;
import java.io.File;
import java.util.LinkedHashMap;
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
    private final Runners runners;

    /**
     * Creates an opener.
     *
     * @param temporary folder for temporary files
     * @param threads number of threads that compute
     * @param delegate name of a delegate; null for the default one of each runtime
     */
    Engines(File temporary, int threads, String delegate) {
        this.runners = new Runners(temporary, threads, delegate);
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
        return runners.delegate(backend);
    }

    /**
     * Loads a program.
     *
     * @param artifact artifact
     * @param program one of its programs
     * @throws AppException if the runtime or the delegate is missing, or cannot load the program
     */
    Runner open(Artifact artifact, ProgramSpec program) throws AppException {
        return runners.open(artifact, program);
    }
}
