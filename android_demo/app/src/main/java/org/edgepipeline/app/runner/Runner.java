package org.edgepipeline.app.runner;

import java.util.Map;
import org.edgepipeline.app.errors.RunException;

/** A program that a runtime has loaded. One thread at a time may use it. */
public interface Runner extends AutoCloseable {
    /**
     * Runs the program.
     *
     * @param inputs all inputs by name, in the shapes of the manifest
     * @return all outputs by name, in the shapes of the manifest
     * @throws RunException if an input does not fit, or the runtime fails
     */
    Map<String, Tensor> run(Map<String, Tensor> inputs) throws RunException;

    /** Releases the program and its memory. */
    @Override
    void close();
}
