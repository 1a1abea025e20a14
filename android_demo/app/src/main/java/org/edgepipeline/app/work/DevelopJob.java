package org.edgepipeline.app.work;

import android.content.Context;
import android.graphics.Bitmap;
import android.os.Handler;
import android.os.Looper;
import java.io.File;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.DngReader;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.isp.Developer;
import org.edgepipeline.app.isp.Plain;
import org.edgepipeline.app.runner.Runners;

/**
 * The development of one capture on a thread of its own, which outlives the screen that shows it.
 *
 * <p>The methods belong to the main thread, where listeners are called.
 */
public final class DevelopJob {
    /** How far a job has come. */
    public enum State {
        /** The thread works. */
        RUNNING,
        /** The picture is complete. */
        FINISHED,
        /** The person cancelled the work. */
        CANCELLED,
        /** A sentence says why there is no picture. */
        FAILED
    }

    /** Is told when a job has changed. */
    public interface Listener {
        /** Reports that state, progress or pictures of the job have changed. */
        void onJobChanged();
    }

    private static DevelopJob current;

    private final Context context;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final BitmapSink before = new BitmapSink(true);
    private final BitmapSink after = new BitmapSink(false);
    private volatile boolean isCancelled;
    private Listener listener;
    private State state = State.RUNNING;
    private String failure = "";
    private int done;
    private int total;
    private double seconds;

    private DevelopJob(Context context) {
        this.context = context.getApplicationContext();
    }

    /** Returns the job of this process, or null. */
    public static DevelopJob current() {
        return current;
    }

    /**
     * Starts to develop the bundled sample; a running job is cancelled.
     *
     * @param context any context of the app
     * @return the job
     */
    public static DevelopJob startSample(Context context) {
        forget();
        DevelopJob job = new DevelopJob(context);
        current = job;
        Thread thread = new Thread(job::work, "develop");
        thread.setPriority(Thread.NORM_PRIORITY - 1);
        thread.start();
        return job;
    }

    /** Cancels and forgets the job of this process. */
    public static void forget() {
        if (current != null) {
            current.cancel();
            current.listener = null;
            current = null;
        }
    }

    /** Sets the listener, which is told about later changes; null for none. */
    public void setListener(Listener listener) {
        this.listener = listener;
    }

    /** Ends the work at the next tile. */
    public void cancel() {
        isCancelled = true;
    }

    /** Returns how far the job has come. */
    public State state() {
        return state;
    }

    /** Returns the sentence of a failed job; empty otherwise. */
    public String failure() {
        return failure;
    }

    /** Returns the number of finished tiles. */
    public int done() {
        return done;
    }

    /** Returns the number of tiles; 0 while it is not known. */
    public int total() {
        return total;
    }

    /** Returns the time of a finished job in seconds. */
    public double seconds() {
        return seconds;
    }

    /** Returns the picture without a network, or null. */
    public Bitmap before() {
        return before.bitmap();
    }

    /** Returns the picture, transparent where tiles are missing, or null. */
    public Bitmap after() {
        return after.bitmap();
    }

    private void work() {
        long start = System.nanoTime();
        try {
            develop();
            end(State.FINISHED, "", System.nanoTime() - start);
        } catch (CancelledException cancelled) {
            end(State.CANCELLED, "", 0);
        } catch (AppException error) {
            end(State.FAILED, error.getMessage(), 0);
        } catch (OutOfMemoryError error) {
            end(State.FAILED, "The phone has too little free memory for this capture;"
                    + " close other apps and try again.", 0);
        }
    }

    private void develop() throws AppException {
        Bundled bundled = new Bundled(context);
        Capture capture = DngReader.read(bundled.file(Bundled.SAMPLE));
        check();
        Plain.develop(capture, before, (finished, all) -> check());
        report(0, 0);
        File folder = bundled.artifact(Bundled.DEVELOPER);
        Artifact artifact = Artifact.open(folder);
        int threads = Math.min(4, Runtime.getRuntime().availableProcessors());
        Runners runners = new Runners(context.getCacheDir(), threads);
        new Developer(artifact, runners).develop(capture, after, this::report);
    }

    private void check() throws CancelledException {
        if (isCancelled) {
            throw new CancelledException();
        }
    }

    private void report(int finished, int all) throws CancelledException {
        check();
        main.post(() -> {
            done = finished;
            total = all;
            tell();
        });
    }

    private void end(State reached, String sentence, long nanoseconds) {
        main.post(() -> {
            state = reached;
            failure = sentence;
            seconds = nanoseconds / 1e9;
            tell();
        });
    }

    private void tell() {
        if (listener != null) {
            listener.onJobChanged();
        }
    }
}
