package org.edgepipeline.app.runner;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.Map;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.TensorSpec;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;
import org.tensorflow.lite.Interpreter;

/** A program in TensorFlow Lite. */
final class LiteRtRunner implements Runner {
    private static final String RUNTIME = "TensorFlow Lite";
    private static final int IDENTIFIER_AT = 4;
    private static final byte[] IDENTIFIER = {'T', 'F', 'L', '3'};

    private final Interpreter interpreter;
    private final ProgramSpec program;
    private final String signature;
    private final LiteRtDelegate delegate;

    private LiteRtRunner(Interpreter interpreter, LiteRtDelegate delegate, ProgramSpec program,
            String signature) {
        this.interpreter = interpreter;
        this.delegate = delegate;
        this.program = program;
        this.signature = signature;
    }

    static LiteRtRunner open(Artifact artifact, ProgramSpec program, Map<String, byte[]> replaced,
            int threads, String delegateName) throws AppException {
        byte[] changed = replaced.get(program.file);
        byte[] content = changed == null ? artifact.content(program.file) : changed;
        checkIdentifier(content, program);
        // The interpreter keeps this buffer and reads its constants from there.
        ByteBuffer model = ByteBuffer.allocateDirect(content.length).order(ByteOrder.nativeOrder());
        model.put(content);
        model.rewind();
        LiteRtDelegate delegate = LiteRtDelegate.of(delegateName);
        Interpreter interpreter = null;
        try {
            interpreter = new Interpreter(model, delegate.options(threads));
            return new LiteRtRunner(
                    interpreter, delegate, program, signatureOf(interpreter, program));
        } catch (LinkageError error) {
            throw new RunException(RUNTIME + " is not in this build of the app, or not for this"
                    + " processor; compile the artifact for onnx.");
        } catch (IllegalArgumentException | IllegalStateException
                | UnsupportedOperationException error) {
            close(interpreter, delegate);
            throw delegate.failure("load", program.name);
        } catch (RunException error) {
            close(interpreter, delegate);
            throw error;
        }
    }

    /** Checks that the file is of this format, before native code reads it. */
    private static void checkIdentifier(byte[] content, ProgramSpec program) throws RunException {
        for (int i = 0; i < IDENTIFIER.length; i++) {
            if (content.length < 8 || content[IDENTIFIER_AT + i] != IDENTIFIER[i]) {
                throw new RunException(program.file + " is not a TensorFlow Lite program.");
            }
        }
    }

    /** Returns the name of the program's signature: its own, or that of the only one. */
    private static String signatureOf(Interpreter interpreter, ProgramSpec program)
            throws RunException {
        String[] keys = interpreter.getSignatureKeys();
        for (String key : keys) {
            if (keys.length == 1 || key.equals(program.name)) {
                return key;
            }
        }
        throw new RunException(program.file + " has no signature " + program.name
                + "; compile the artifact again.");
    }

    @Override
    public Map<String, Tensor> run(Map<String, Tensor> inputs) throws RunException {
        Map<String, Integer> sizes = Runners.checkedInputs(program, inputs);
        Map<String, Object> feed = new HashMap<>();
        for (Map.Entry<String, Tensor> entry : inputs.entrySet()) {
            FloatBuffer buffer = direct(entry.getValue().values.length);
            buffer.put(entry.getValue().values);
            buffer.rewind();
            feed.put(entry.getKey(), buffer);
        }
        Map<String, int[]> shapes = new HashMap<>();
        Map<String, Object> results = new HashMap<>();
        for (TensorSpec one : program.outputs) {
            shapes.put(one.name, one.sized(sizes));
            results.put(one.name, direct(Tensor.count(shapes.get(one.name))));
        }
        try {
            interpreter.runSignature(feed, results, signature);
        } catch (IllegalArgumentException | IllegalStateException error) {
            throw delegate.failure("run", program.name);
        }
        Map<String, Tensor> outputs = Runners.outputs();
        for (TensorSpec one : program.outputs) {
            FloatBuffer buffer = (FloatBuffer) results.get(one.name);
            buffer.rewind();
            float[] values = new float[buffer.capacity()];
            buffer.get(values);
            outputs.put(one.name, new Tensor(shapes.get(one.name), values));
        }
        return outputs;
    }

    private static FloatBuffer direct(int count) {
        return ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer();
    }

    private static void close(Interpreter interpreter, LiteRtDelegate delegate) {
        if (interpreter != null) {
            interpreter.close();
        }
        delegate.close();
    }

    @Override
    public void close() {
        close(interpreter, delegate);
    }
}
