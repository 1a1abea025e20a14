package org.edgepipeline.app.work;

import android.content.Context;
import android.graphics.Bitmap;
import android.net.Uri;
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
import org.edgepipeline.app.screen.ScreenJob;

/**
 * The development of one capture on a thread of its own.
 *
 * <p>The methods belong to the main thread.
 */
public final class DevelopJob extends ScreenJob {
    private static DevelopJob current;

    private final Context context;
    private final Uri source;
    private final BitmapSink before = new BitmapSink(true);
    private final BitmapSink after = new BitmapSink(false);
    private volatile boolean isCancelled;
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
            current.setListener(null);
            current = null;
        }
    }

    @Override
    public void cancel() {
        isCancelled = true;
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
        if (state() != State.FINISHED || isSaving) {
            return;
        }
        isSaving = true;
        notice = "";
        tell();
        new Thread(() -> {
            String sentence = saved(place);
            post(() -> {
                isSaving = false;
                notice = sentence;
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
        attempt("this capture", this::develop, (reached, sentence) -> post(() -> {
            reach(reached, sentence);
            seconds = (System.nanoTime() - start) / 1e9;
        }));
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
        post(() -> reach(finished, all));
    }
}
