package org.edgepipeline.app.runner;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.TensorSpec;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;

/** A program in ONNX Runtime on the CPU. */
final class OnnxRunner implements Runner {
    private static final String RUNTIME = "ONNX Runtime";
    private static final String RUNS_ONCE = "predict_filters";

    private final OrtEnvironment environment;
    private final OrtSession session;
    private final ProgramSpec program;

    private OnnxRunner(OrtEnvironment environment, OrtSession session, ProgramSpec program) {
        this.environment = environment;
        this.session = session;
        this.program = program;
    }

    static OnnxRunner open(Artifact artifact, ProgramSpec program, Map<String, byte[]> replaced,
            int threads, File temporary) throws AppException {
        OrtEnvironment environment = environment();
        if (replaced.isEmpty()) {
            return load(environment, artifact.path(program.file), program, threads);
        }
        // The Java interface takes weights files from a folder only, so the changed ones are there
        // while the session is created; it copies them.
        File folder = copyWith(artifact, program, replaced, temporary);
        try {
            return load(environment, new File(folder, flat(program.file)), program, threads);
        } finally {
            delete(folder);
        }
    }

    private static OrtEnvironment environment() throws RunException {
        try {
            return OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
        } catch (LinkageError | IllegalStateException error) {
            throw new RunException("ONNX Runtime is not in this build of the app; build it with"
                    + " Android Studio, or compile the artifact for litert.");
        }
    }

    private static OnnxRunner load(OrtEnvironment environment, File file, ProgramSpec program,
            int threads) throws RunException {
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setInterOpNumThreads(1);
            options.setMemoryPatternOptimization(false);
            options.setCPUArenaAllocator(!program.name.equals(RUNS_ONCE));
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
            OrtSession session = environment.createSession(file.getPath(), options);
            return new OnnxRunner(environment, session, program);
        } catch (OrtException error) {
            throw Runners.failure(RUNTIME, "load", program);
        }
    }

    private static String flat(String name) {
        return name.substring(name.lastIndexOf('/') + 1);
    }

    private static File copyWith(Artifact artifact, ProgramSpec program,
            Map<String, byte[]> replaced, File temporary) throws AppException {
        File folder = null;
        try {
            folder = Files.createTempDirectory(temporary.toPath(), "program").toFile();
            Map<String, byte[]> files = new HashMap<>(replaced);
            for (String name : program.extra) {
                if (!files.containsKey(name)) {
                    files.put(name, artifact.content(name));
                }
            }
            if (!files.containsKey(program.file)) {
                files.put(program.file, artifact.content(program.file));
            }
            for (Map.Entry<String, byte[]> entry : files.entrySet()) {
                Files.write(new File(folder, flat(entry.getKey())).toPath(), entry.getValue());
            }
            return folder;
        } catch (IOException | AppException error) {
            delete(folder);
            if (error instanceof AppException) {
                throw (AppException) error;
            }
            throw new RunException("The device has too little free storage for "
                    + program.name + "; delete some files.");
        }
    }

    private static void delete(File folder) {
        File[] files = folder == null ? null : folder.listFiles();
        if (files == null) {
            return;
        }
        for (File file : files) {
            file.delete();
        }
        folder.delete();
    }

    @Override
    public Map<String, Tensor> run(Map<String, Tensor> inputs) throws RunException {
        Map<String, Integer> sizes = Runners.checkedInputs(program, inputs);
        Map<String, OnnxTensor> feed = new HashMap<>();
        try {
            for (Map.Entry<String, Tensor> entry : inputs.entrySet()) {
                feed.put(entry.getKey(), tensorOf(entry.getValue()));
            }
            try (OrtSession.Result result = session.run(feed)) {
                Map<String, Tensor> outputs = Runners.outputs();
                for (TensorSpec one : program.outputs) {
                    outputs.put(one.name, output(result.get(one.name), one, sizes));
                }
                return outputs;
            }
        } catch (OrtException error) {
            throw Runners.failure(RUNTIME, "run", program);
        } finally {
            for (OnnxTensor one : feed.values()) {
                one.close();
            }
        }
    }

    private OnnxTensor tensorOf(Tensor value) throws OrtException {
        FloatBuffer buffer = ByteBuffer.allocateDirect(4 * value.values.length)
                .order(ByteOrder.nativeOrder()).asFloatBuffer();
        buffer.put(value.values);
        buffer.rewind();
        long[] shape = new long[value.shape.length];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = value.shape[i];
        }
        return OnnxTensor.createTensor(environment, buffer, shape);
    }

    private Tensor output(Optional<OnnxValue> found, TensorSpec spec, Map<String, Integer> sizes)
            throws RunException {
        if (!found.isPresent() || !(found.get() instanceof OnnxTensor)) {
            throw new RunException(program.name + " did not return " + spec.name
                    + "; verify the artifact.");
        }
        OnnxTensor tensor = (OnnxTensor) found.get();
        TensorInfo info = tensor.getInfo();
        long[] sizesOf = info.getShape();
        int[] shape = new int[sizesOf.length];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = (int) sizesOf[i];
        }
        FloatBuffer buffer = tensor.getFloatBuffer();
        if (buffer == null || !spec.fits(shape, sizes)) {
            throw new RunException(program.name + " returned " + spec.name + " as "
                    + Tensor.text(shape) + "; the manifest lists " + spec.shapeText() + ".");
        }
        float[] values = new float[Tensor.count(shape)];
        buffer.get(values);
        return new Tensor(shape, values);
    }

    @Override
    public void close() {
        try {
            session.close();
        } catch (OrtException error) {
            // Its memory is lost, and nothing else.
        }
    }
}
