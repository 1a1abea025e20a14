package org.edgepipeline.app.bench;

import java.util.List;

/** Times of one program in milliseconds. */
final class Timing {
    /** Time of loading the runtime's libraries. */
    final double importMs;
    /** Time of loading the program. */
    final double initMs;
    /** Time of the first run. */
    final double firstMs;
    /** Times of the timed runs, in order. */
    final double[] samplesMs;
    /** Number of timed runs during which the system preempted the thread. */
    final int preemptedRuns;
    /** Number of warm-up runs. */
    final int warmupRuns;
    /** Whether the warm-up ended because the times were stable; null without one. */
    final Boolean isStable;

    Timing(Subject.Loaded loaded, long firstNs, List<Subject.TimedRun> runs, int warmupRuns,
            Boolean isStable) {
        importMs = loaded.importNs / 1e6;
        initMs = loaded.initNs / 1e6;
        firstMs = firstNs / 1e6;
        samplesMs = new double[runs.size()];
        int preempted = 0;
        for (int i = 0; i < samplesMs.length; i++) {
            samplesMs[i] = runs.get(i).elapsedNs / 1e6;
            preempted += runs.get(i).preemptions > 0 ? 1 : 0;
        }
        preemptedRuns = preempted;
        this.warmupRuns = warmupRuns;
        this.isStable = isStable;
    }
}
