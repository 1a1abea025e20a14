package org.edgepipeline.app.bench;

import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;

/** Numbers and durations of runs of a measurement, as in harness/protocol.py. */
public final class Plan {
    /** Least number of timed runs. */
    public static final int LEAST_RUNS = 30;

    private static final int MOST = 1_000_000;
    private static final double DAY_S = 86_400;

    /** Least number of timed runs. */
    public final int runs;
    /** Least duration of the timed runs of all programs together. */
    public final double seconds;
    /** Least number of runs between the first one and the timed ones; 0 for no warm-up. */
    public final int warmup;

    /**
     * Creates a plan.
     *
     * @param runs least number of timed runs
     * @param seconds least duration of the timed runs of all programs together
     * @param warmup least number of warm-up runs
     * @throws AppException if a number is out of its range
     */
    public Plan(int runs, double seconds, int warmup) throws AppException {
        if (runs < LEAST_RUNS || runs > MOST) {
            throw new RunException("The number of timed runs must be from " + LEAST_RUNS + " to "
                    + MOST + ", got " + runs + ".");
        }
        if (!(seconds >= 0 && seconds < DAY_S)) {
            throw new RunException("The duration of the timed runs must be from 0 s to a day, got "
                    + seconds + " s.");
        }
        if (warmup < 0 || warmup > MOST) {
            throw new RunException("The number of warm-up runs must be from 0 to " + MOST
                    + ", got " + warmup + ".");
        }
        this.runs = runs;
        this.seconds = seconds;
        this.warmup = warmup;
    }
}
