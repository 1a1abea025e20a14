package org.edgepipeline.app.work;

import java.util.Map;
import org.edgepipeline.app.errors.RunException;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Tensor;

/** A program whose runs are timed. */
final class Timed implements Runner {
    private final Runner runner;
    private long nanoseconds;

    Timed(Runner runner) {
        this.runner = runner;
    }

    @Override
    public Map<String, Tensor> run(Map<String, Tensor> inputs) throws RunException {
        long start = System.nanoTime();
        try {
            return runner.run(inputs);
        } finally {
            nanoseconds += System.nanoTime() - start;
        }
    }

    /** Returns the time of all runs. */
    double milliseconds() {
        return nanoseconds / 1e6;
    }

    @Override
    public void close() {
        runner.close();
    }
}
