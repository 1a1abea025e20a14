package org.edgepipeline.app.bench;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.TensorSpec;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Tensor;
import org.tensorflow.lite.Delegate;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.nnapi.NnApiDelegate;

/**
 * A program in TensorFlow Lite on another delegate than XNNPACK.
 *
 * <p>Like the app's own runner, it copies inputs and outputs in each run, so that the times of
 * delegates can be compared.
 */
final class DelegatedLiteRt implements Runner {
    private static final String GPU = "org.tensorflow.lite.gpu.GpuDelegate";

    private final Interpreter interpreter;
    private final Delegate delegate;
    private final ProgramSpec program;
    private final String signature;

    private DelegatedLiteRt(Interpreter interpreter, Delegate delegate, ProgramSpec program) {
        this.interpreter = interpreter;
        this.delegate = delegate;
        this.program = program;
        String[] keys = interpreter.getSignatureKeys();
        this.signature = keys.length == 1 ? keys[0] : program.name;
    }

    static DelegatedLiteRt open(Artifact artifact, ProgramSpec program, String name, int threads)
            throws AppException {
        byte[] content = artifact.content(program.file);
        ByteBuffer model = ByteBuffer.allocateDirect(content.length).order(ByteOrder.nativeOrder());
        model.put(content);
        model.rewind();
        Delegate delegate = null;
        try {
            delegate = delegate(name);
            Interpreter.Options options = new Interpreter.Options();
            options.setNumThreads(threads);
            options.setUseXNNPACK(false);
            if (delegate != null) {
                options.addDelegate(delegate);
            }
            return new DelegatedLiteRt(new Interpreter(model, options), delegate, program);
        } catch (LinkageError error) {
            throw new RunException("TensorFlow Lite's delegate " + name
                    + " is not in this build of the app, or not for this processor.");
        } catch (IllegalArgumentException | IllegalStateException
                | UnsupportedOperationException error) {
            close(delegate);
            throw new RunException("TensorFlow Lite could not load " + program.name + " on "
                    + name + "; measure it on xnnpack.");
        }
    }

    /** Returns a delegate; null for TensorFlow Lite's own operators on the processor. */
    private static Delegate delegate(String name) throws RunException {
        if (name.equals("nnapi")) {
            return new NnApiDelegate();
        }
        if (!name.equals("gpu")) {
            return null;
        }
        try {
            return (Delegate) Class.forName(GPU).getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException error) {
            throw new RunException("TensorFlow Lite's delegate for the GPU is not in this build of"
                    + " the app; add the library tensorflow-lite-gpu.");
        }
    }

    private static void close(Delegate delegate) {
        if (delegate instanceof AutoCloseable) {
            try {
                ((AutoCloseable) delegate).close();
            } catch (Exception error) {
                return; // its memory is lost, and nothing else
            }
        }
    }

    @Override
    public Map<String, Tensor> run(Map<String, Tensor> inputs) throws RunException {
        Map<String, Integer> sizes = new HashMap<>();
        Map<String, Object> feed = new HashMap<>();
        for (TensorSpec spec : program.inputs) {
            Tensor value = inputs.get(spec.name);
            if (value == null || !spec.fits(value.shape, sizes)) {
                throw new RunException(program.name + " requires " + spec.name + " as "
                        + spec.shapeText() + ".");
            }
            FloatBuffer buffer = direct(value.values.length);
            buffer.put(value.values);
            buffer.rewind();
            feed.put(spec.name, buffer);
        }
        Map<String, Object> results = new HashMap<>();
        for (TensorSpec spec : program.outputs) {
            results.put(spec.name, direct(Tensor.count(spec.sized(sizes))));
        }
        try {
            interpreter.runSignature(feed, results, signature);
        } catch (IllegalArgumentException | IllegalStateException error) {
            throw new RunException("TensorFlow Lite could not run " + program.name
                    + " on this delegate; measure it on xnnpack.");
        }
        Map<String, Tensor> outputs = new LinkedHashMap<>();
        for (TensorSpec spec : program.outputs) {
            FloatBuffer buffer = (FloatBuffer) results.get(spec.name);
            buffer.rewind();
            float[] values = new float[buffer.capacity()];
            buffer.get(values);
            outputs.put(spec.name, new Tensor(spec.sized(sizes), values));
        }
        return outputs;
    }

    private static FloatBuffer direct(int count) {
        return ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer();
    }

    @Override
    public void close() {
        interpreter.close();
        close(delegate);
    }
}
