package org.edgepipeline.app.bench;

import android.content.Context;
import java.util.Collections;
import java.util.List;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.screen.ScreenJob;

/**
 * A measurement on a thread of its own.
 *
 * <p>The methods belong to the main thread.
 */
final class BenchJob extends ScreenJob {
    private static BenchJob current;

    private final Context context;
    private volatile boolean isCancelled;
    private String step = "";
    private List<Measurement.Result> results = Collections.emptyList();
    private Readings after;

    private BenchJob(Context context) {
        this.context = context.getApplicationContext();
    }

    /** Returns the job of this process, or null. */
    static BenchJob current() {
        return current;
    }

    /**
     * Starts a measurement; a running one is cancelled.
     *
     * @param artifacts names of artifacts; empty for all
     * @param plan numbers of runs
     * @param threads number of threads that compute
     */
    static BenchJob start(Context context, List<String> artifacts, Plan plan, int threads) {
        forget();
        BenchJob job = new BenchJob(context);
        current = job;
        new Thread(() -> job.work(artifacts, plan, threads), "bench").start();
        return job;
    }

    /** Cancels and forgets the job of this process. */
    static void forget() {
        if (current != null) {
            current.cancel();
            current.setListener(null);
            current = null;
        }
    }

    @Override
    public void cancel() {
        isCancelled = true;
    }

    /** Returns the step of a running job. */
    String step() {
        return step;
    }

    List<Measurement.Result> results() {
        return results;
    }

    /** Returns the sensors at the end of a finished job; null otherwise. */
    Readings after() {
        return after;
    }

    private void work(List<String> artifacts, Plan plan, int threads) {
        attempt("this artifact", () -> {
            Places places = new Places(context);
            AndroidPhone phone = new AndroidPhone(context);
            Engines engines = new Engines(places.temporary(), threads, null);
            OutputFolder output = OutputFolder.of(places.measurements(), "screen");
            List<Measurement.Result> found =
                    new Measurement(phone, engines, output, this::report).run(
                            places.folders(artifacts), plan, threads,
                            BenchInstrumentation.session());
            Readings readings = phone.readings();
            main().post(() -> {
                results = found;
                after = readings;
            });
        }, (reached, sentence) -> post(() -> reach(reached, sentence)));
    }

    private void report(String step, int finished, int all) throws CancelledException {
        if (isCancelled) {
            throw new CancelledException();
        }
        post(() -> {
            this.step = step;
            reach(finished, all);
        });
    }
}
