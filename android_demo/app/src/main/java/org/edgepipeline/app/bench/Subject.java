package org.edgepipeline.app.bench;

import java.util.List;
import org.edgepipeline.app.errors.AppException;

/** A program that can be loaded once and run many times, and measures its own times. */
interface Subject {
    /** Loads the program and returns the times; called once, before any run. */
    Loaded load() throws AppException;

    /** Runs the program and returns the time of each run. */
    List<TimedRun> run(int count) throws AppException;

    /** Times of loading in nanoseconds. */
    final class Loaded {
        /** Time of loading the runtime's libraries, for the first program that needs them. */
        final long importNs;
        /** Time of loading the program. */
        final long initNs;

        Loaded(long importNs, long initNs) {
            this.importNs = importNs;
            this.initNs = initNs;
        }
    }

    /** Time of one run in nanoseconds, and how often the system preempted it. */
    final class TimedRun {
        final long elapsedNs;
        final long preemptions;

        TimedRun(long elapsedNs, long preemptions) {
            this.elapsedNs = elapsedNs;
            this.preemptions = preemptions;
        }
    }
}
