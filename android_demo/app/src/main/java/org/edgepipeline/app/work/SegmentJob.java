package org.edgepipeline.app.work;

import android.content.Context;
import android.graphics.Bitmap;
import android.net.Uri;
import java.util.Collections;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Phi;
import org.edgepipeline.app.artifact.Variant;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.isp.Progress;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Runners;
import org.edgepipeline.app.screen.ScreenJob;
import org.edgepipeline.app.segment.Overlay;
import org.edgepipeline.app.segment.Segmenter;

/**
 * The segmentation of one picture at values of phi, on a thread of its own.
 *
 * <p>A new value ends the work at the one before it, at the next tile. The methods belong to the
 * main thread.
 */
public final class SegmentJob extends ScreenJob {
    /** Pixels above which a picture is reduced before it is segmented. */
    static final int MOST_PIXELS = 4_000_000;
    /** Time without another value after which the work begins. */
    private static final long PAUSE_MS = 120;

    /** The labels of a picture, drawn over it, and the cost of the program. */
    public static final class Result {
        /** Picture with its labels. */
        public final Bitmap overlay;
        /** Value of phi; NaN if the artifact has none. */
        public final double phi;
        /** Multiply-accumulate operations of a tile. */
        public final long macs;
        /** Time of the program on all tiles in milliseconds. */
        public final double milliseconds;
        /** Shares of the labels by name, 0 to 1. */
        public final Map<String, Double> shares;

        Result(Bitmap overlay, Variant variant, double milliseconds, Map<String, Double> shares) {
            this.overlay = overlay;
            this.phi = variant.phi;
            this.macs = variant.macs;
            this.milliseconds = milliseconds;
            this.shares = Collections.unmodifiableMap(shares);
        }
    }

    private static SegmentJob current;

    private final Context context;
    private final Uri source;
    private final ExecutorService thread = Executors.newSingleThreadExecutor();
    private final Runnable begin = this::begin;
    private volatile int newest;
    private volatile double wished;
    private volatile Bitmap picture;
    private volatile Artifact artifact;
    private volatile Phi phi;
    private Result result;

    private SegmentJob(Context context, Uri source, double wished) {
        this.context = context.getApplicationContext();
        this.source = source;
        this.wished = wished;
    }

    /** Returns the job of this process, or null. */
    public static SegmentJob current() {
        return current;
    }

    /**
     * Starts to segment a picture; the job before it is forgotten.
     *
     * @param context any context of the app
     * @param source place of the picture; null for the bundled one
     * @param phi value of phi; NaN for that of the artifact
     */
    public static SegmentJob start(Context context, Uri source, double phi) {
        forget();
        current = new SegmentJob(context, source, phi);
        current.begin();
        return current;
    }

    /** Cancels and forgets the job of this process. */
    public static void forget() {
        if (current != null) {
            current.newest++;
            current.main().removeCallbacks(current.begin);
            current.setListener(null);
            current.thread.shutdown();
            current = null;
        }
    }

    /** Segments at another value of phi, after a pause without further values. */
    public void setPhi(double value) {
        double served = phi == null ? value : phi.nearest(value);
        boolean isShown = state() == State.FINISHED && result != null && result.phi == served;
        if (isShown || (isRunning() && served == wished)) {
            return;
        }
        wished = served;
        reach(State.RUNNING, "");
        newest++;
        main().removeCallbacks(begin);
        main().postDelayed(begin, PAUSE_MS);
        tell();
    }

    @Override
    public void cancel() {
        newest++;
        main().removeCallbacks(begin);
        reach(State.CANCELLED, "");
        tell();
    }

    private void begin() {
        int number = ++newest;
        reach(0, 0);
        thread.execute(() -> work(number));
    }

    private void work(int number) {
        Progress progress = (finished, all) -> {
            if (number != newest) {
                throw new CancelledException();
            }
            main().post(() -> report(number, finished, all));
        };
        Result[] made = {null};
        attempt("this picture", () -> {
            progress.report(0, 0);
            made[0] = segmented(progress);
        }, (reached, sentence) -> main().post(() -> end(number, reached, sentence, made[0])));
    }

    private Result segmented(Progress progress) throws AppException {
        if (artifact == null) {
            Bundled bundled = new Bundled(context);
            Uri place = source == null ? Uri.fromFile(bundled.file(Bundled.PICTURE)) : source;
            picture = PictureFile.read(context, place, MOST_PIXELS);
            Artifact opened = bundled.open(Bundled.SEGMENTER);
            phi = Phi.of(opened);
            wished = Double.isNaN(wished) ? phi.own() : phi.nearest(wished);
            artifact = opened;
        }
        progress.report(0, 0);
        Segmenter segmenter = new Segmenter(artifact);
        Variant variant = phi.at(wished);
        Runners runners = new Runners(context.getCacheDir(),
                Math.min(4, Runtime.getRuntime().availableProcessors()));
        BitmapPixels pixels = new BitmapPixels(picture);
        byte[] labels;
        Timed timed;
        try (Runner runner = runners.open(artifact, variant)) {
            timed = new Timed(runner);
            labels = segmenter.segment(timed, pixels, progress);
        }
        BitmapSink overlay = new BitmapSink(false);
        Overlay.draw(pixels, labels, segmenter.names, overlay);
        return new Result(overlay.bitmap(), variant, timed.milliseconds(),
                segmenter.names.shares(labels));
    }

    private void report(int number, int finished, int all) {
        if (number == newest) {
            reach(finished, all);
            tell();
        }
    }

    private void end(int number, State reached, String sentence, Result made) {
        if (number == newest) {
            reach(reached, sentence);
            result = made == null ? result : made;
            tell();
        }
    }

    /** Returns the place of the picture; null for the bundled one. */
    public Uri source() {
        return source;
    }

    /** Returns the chosen phi; NaN while it is not known. */
    public double phi() {
        return wished;
    }

    /** Returns the values of phi that the artifact serves; null while they are not known. */
    public Phi range() {
        return phi;
    }

    /** Returns the picture, or null while it is not read. */
    public Bitmap picture() {
        return picture;
    }

    /** Returns the last result, or null. */
    public Result result() {
        return result;
    }
}
