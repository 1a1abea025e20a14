package org.edgepipeline.app.bench;

import android.content.Context;
import android.os.Handler;
import android.os.Looper;
import java.util.Collections;
import java.util.List;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.CancelledException;

/**
 * A measurement on a thread of its own, which outlives the screen that shows it.
 *
 * <p>The methods belong to the main thread, where the listener is called.
 */
final class BenchJob {
    /** How far a job has come. */
    enum State { RUNNING, FINISHED, CANCELLED, FAILED }

    private static BenchJob current;

    private final Handler main = new Handler(Looper.getMainLooper());
    private final Context context;
    private volatile boolean isCancelled;
    private Runnable listener;
    private State state = State.RUNNING;
    private String sentence = "";
    private int done;
    private int total;
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
            current.listener = null;
            current = null;
        }
    }

    void setListener(Runnable listener) {
        this.listener = listener;
    }

    /** Ends the measurement at the next run. */
    void cancel() {
        isCancelled = true;
    }

    State state() {
        return state;
    }

    /** Returns the step of a running job, or the sentence of a failed one. */
    String sentence() {
        return sentence;
    }

    int done() {
        return done;
    }

    /** Returns the number of steps; 0 while it is not known. */
    int total() {
        return total;
    }

    List<Measurement.Result> results() {
        return results;
    }

    /** Returns the sensors at the end of a finished job; null otherwise. */
    Readings after() {
        return after;
    }

    private void work(List<String> artifacts, Plan plan, int threads) {
        try {
            Places places = new Places(context);
            AndroidPhone phone = new AndroidPhone(context);
            Engines engines = new Engines(places.temporary(), threads, null);
            OutputFolder output = OutputFolder.of(places.measurements(), "screen");
            List<Measurement.Result> found =
                    new Measurement(phone, engines, output, this::report).run(
                            places.folders(artifacts), plan, threads,
                            BenchInstrumentation.session());
            Readings readings = phone.readings();
            end(State.FINISHED, output.file(Measurement.RECORDS).getPath(), () -> {
                results = found;
                after = readings;
            });
        } catch (CancelledException cancelled) {
            end(State.CANCELLED, "", () -> { });
        } catch (AppException error) {
            end(State.FAILED, error.getMessage(), () -> { });
        } catch (OutOfMemoryError error) {
            end(State.FAILED, "The phone has too little free memory for this artifact;"
                    + " close other apps and try again.", () -> { });
        }
    }

    private void report(String step, int finished, int all) throws CancelledException {
        if (isCancelled) {
            throw new CancelledException();
        }
        main.post(() -> {
            sentence = step;
            done = finished;
            total = all;
            tell();
        });
    }

    private void end(State reached, String text, Runnable change) {
        main.post(() -> {
            state = reached;
            sentence = text;
            change.run();
            tell();
        });
    }

    private void tell() {
        if (listener != null) {
            listener.run();
        }
    }
}
