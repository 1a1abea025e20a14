package org.edgepipeline.app.runner;

import org.edgepipeline.app.errors.RunException;
import org.tensorflow.lite.Delegate;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.nnapi.NnApiDelegate;

/** A part of TensorFlow Lite that runs programs: `xnnpack`, `cpu`, `nnapi` or `gpu`. */
final class LiteRtDelegate implements AutoCloseable {
    static final String DEFAULT = "xnnpack";
    private static final String GPU = "org.tensorflow.lite.gpu.GpuDelegate";

    final String name;
    /** Null for parts of the interpreter itself. */
    private final Delegate delegate;

    private LiteRtDelegate(String name, Delegate delegate) {
        this.name = name;
        this.delegate = delegate;
    }

    /**
     * Creates a delegate.
     *
     * @param name its name
     * @throws RunException if this build of the app or this phone does not have it
     */
    static LiteRtDelegate of(String name) throws RunException {
        try {
            if (name.equals("nnapi")) {
                return new LiteRtDelegate(name, new NnApiDelegate());
            }
            if (name.equals("gpu")) {
                return new LiteRtDelegate(name, (Delegate) Class.forName(GPU)
                        .getDeclaredConstructor().newInstance());
            }
        } catch (ReflectiveOperationException error) {
            throw new RunException("TensorFlow Lite's delegate for the GPU is not in this build of"
                    + " the app; add the library tensorflow-lite-gpu.");
        } catch (LinkageError | IllegalStateException | UnsupportedOperationException error) {
            throw new RunException("TensorFlow Lite's delegate " + name
                    + " is not in this build of the app, or not for this processor.");
        }
        return new LiteRtDelegate(name, null);
    }

    /** Returns options of an interpreter that runs on this delegate. */
    Interpreter.Options options(int threads) {
        Interpreter.Options options = new Interpreter.Options();
        options.setNumThreads(threads);
        options.setUseXNNPACK(name.equals(DEFAULT));
        if (delegate != null) {
            options.addDelegate(delegate);
        }
        return options;
    }

    /** Returns the failure of a program on this delegate. */
    RunException failure(String action, String program) {
        return new RunException("TensorFlow Lite could not " + action + " " + program
                + (name.equals(DEFAULT)
                        ? "; compile the artifact again for this version of the runtime."
                        : " on " + name + "; measure it on xnnpack."));
    }

    @Override
    public void close() {
        if (delegate instanceof AutoCloseable) {
            try {
                ((AutoCloseable) delegate).close();
            } catch (Exception error) {
                return; // its memory is lost, and nothing else
            }
        }
    }
}
