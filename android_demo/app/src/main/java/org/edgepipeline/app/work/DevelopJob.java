package org.edgepipeline.app.work;

import android.content.Context;
import android.graphics.Bitmap;
import android.net.Uri;
import android.os.Handler;
import android.os.Looper;
import java.io.File;
import org.edgepipeline.app.R;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.correct.Corrections;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.DngReader;
import org.edgepipeline.app.dng.Shot;
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
    private final Uri source;
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
    private volatile Bitmap preview;
    private volatile Shot shot;
    private volatile Corrections corrections;
    private volatile String name = "";
    private boolean isSaving;
    private String notice = "";

    private DevelopJob(Context context, Uri source) {
        this.context = context.getApplicationContext();
        this.source = source;
    }

    /** Returns the job of this process, or null. */
    public static DevelopJob current() {
        return current;
    }

    /**
     * Starts to develop a capture; a running job is cancelled.
     *
     * @param context any context of the app
     * @param source place of a DNG file; null for the bundled sample
     * @return the job
     */
    public static DevelopJob start(Context context, Uri source) {
        forget();
        DevelopJob job = new DevelopJob(context, source);
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

    /** Returns the camera's own picture, or one without a network if it has none; or null. */
    public Bitmap before() {
        return preview == null ? before.bitmap() : preview;
    }

    /** Returns whether the picture before is the camera's own. */
    public boolean hasPreview() {
        return preview != null;
    }

    /** Returns the corrections of the capture, or null while it is not corrected. */
    public Corrections corrections() {
        return corrections;
    }

    /** Returns the place of the capture; null for the bundled sample. */
    public Uri source() {
        return source;
    }

    /** Returns the name under which the picture is saved. */
    public String pictureName() {
        int dot = name.lastIndexOf('.');
        return (dot > 0 ? name.substring(0, dot) : name) + ".jpg";
    }

    /** Returns whether the picture is being saved. */
    public boolean isSaving() {
        return isSaving;
    }

    /** Returns a sentence about the last time the picture was saved; empty if it was not. */
    public String notice() {
        return notice;
    }

    /**
     * Saves the finished picture in the background.
     *
     * @param place the place that the person chose; null for the gallery
     */
    public void save(Uri place) {
        if (state != State.FINISHED || isSaving) {
            return;
        }
        isSaving = true;
        notice = "";
        tell();
        new Thread(() -> {
            String sentence = saved(place);
            main.post(() -> {
                isSaving = false;
                notice = sentence;
                tell();
            });
        }, "save").start();
    }

    private String saved(Uri place) {
        Gallery gallery = new Gallery(context);
        try {
            if (place == null) {
                gallery.save(after(), shot, pictureName());
                return context.getString(R.string.saved, pictureName(), Gallery.FOLDER);
            }
            gallery.write(after(), shot, place, pictureName());
            return context.getString(R.string.saved_there, new Documents(context).name(place));
        } catch (AppException error) {
            return error.getMessage();
        } catch (OutOfMemoryError error) {
            return "The phone has too little free memory to save the picture; close other apps"
                    + " and try again.";
        }
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
        Documents documents = new Documents(context);
        File file = source == null ? bundled.file(Bundled.SAMPLE)
                : documents.copied(source, (finished, all) -> check());
        name = source == null ? file.getName() : documents.name(source);
        Capture capture = DngReader.read(file, name);
        shot = capture.shot;
        check();
        preview = CameraPicture.of(capture);
        if (preview == null) {
            Plain.develop(capture, before, (finished, all) -> check());
        }
        report(0, 0);
        corrections = Corrections.correct(capture, (finished, all) -> check());
        Artifact artifact = bundled.open(Bundled.DEVELOPER);
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
