package org.edgepipeline.app.work;

import android.content.Context;
import android.graphics.Bitmap;
import android.os.Handler;
import android.os.Looper;
import java.util.Collections;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Phi;
import org.edgepipeline.app.artifact.Variant;
import org.edgepipeline.app.camera.FrameCamera;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Runners;
import org.edgepipeline.app.segment.ArgbPixels;
import org.edgepipeline.app.segment.Overlay;
import org.edgepipeline.app.segment.Segmenter;
import org.edgepipeline.app.segment.YuvFrame;

/**
 * Shows the frames of a camera and segments those that arrive while the network is idle.
 *
 * <p>Frames are converted on the camera's thread and segmented on another one; a frame that arrives
 * in between is dropped. A session lasts as long as its screen is visible. Methods belong to the
 * main thread.
 */
public final class LiveSession implements FrameCamera.Listener {
    /** Longest side of the frames on the screen. */
    private static final int SHOWN_SIDE = 960;
    /** Longest side of the frames that are segmented, unless a tile is smaller. */
    private static final int SEGMENTED_SIDE = 256;

    /** Is told about a session on the main thread; no more after it was closed. */
    public interface Listener {
        /** Shows a frame, upright. */
        void onView(Bitmap frame);

        /** Shows the result of a frame. */
        void onResult(Result result);

        /** Shows why the session ended, in one sentence. */
        void onFailed(String sentence);
    }

    /** The labels of a frame, and the cost of the program. */
    public static final class Result {
        /** Labels as they are drawn, transparent elsewhere. */
        public final Bitmap mask;
        /** Value of phi; NaN if the artifact has none. */
        public final double phi;
        /** Multiply-accumulate operations of a tile. */
        public final long macs;
        /** Time of the program in milliseconds. */
        public final double milliseconds;
        /** Shares of the labels by name, 0 to 1. */
        public final Map<String, Double> shares;

        Result(Bitmap mask, Variant variant, double milliseconds, Map<String, Double> shares) {
            this.mask = mask;
            this.phi = variant.phi;
            this.macs = variant.macs;
            this.milliseconds = milliseconds;
            this.shares = Collections.unmodifiableMap(shares);
        }
    }

    private final Context context;
    private final Listener listener;
    private final FrameCamera camera;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final ExecutorService thread = Executors.newSingleThreadExecutor();
    private final AtomicBoolean isShowing = new AtomicBoolean();
    private final AtomicBoolean isSegmenting = new AtomicBoolean();
    private final AtomicInteger received = new AtomicInteger();
    private final AtomicInteger segmented = new AtomicInteger();
    private final Bitmap[] views = new Bitmap[2];
    private int[] pixels = new int[0];
    private volatile boolean isClosed;
    private volatile double wished;
    private volatile Phi phi;
    private volatile int side = SEGMENTED_SIDE;
    private Artifact artifact;
    private Segmenter segmenter;
    private Variant variant;
    private Runner runner;

    /**
     * Creates a session that is not open.
     *
     * @param context any context of the app
     * @param camera closed camera
     * @param phi value of phi; NaN for that of the artifact
     * @param listener is told about the session
     */
    public LiveSession(Context context, FrameCamera camera, double phi, Listener listener) {
        this.context = context.getApplicationContext();
        this.camera = camera;
        this.wished = phi;
        this.listener = listener;
    }

    /**
     * Opens the camera.
     *
     * @param screenRotation how far the screen's content is turned: 0, 90, 180 or 270 degrees
     */
    public void open(int screenRotation) {
        camera.open(screenRotation, this);
    }

    /** Releases the camera, and the program after the frame that is segmented. */
    public void close() {
        if (isClosed) {
            return;
        }
        synchronized (thread) {
            isClosed = true;
            thread.execute(this::release);
            thread.shutdown();
        }
        camera.close();
    }

    /** Segments the next frames at another value of phi. */
    public void setPhi(double value) {
        wished = phi == null ? value : phi.nearest(value);
    }

    /** Returns the chosen phi; NaN while it is not known. */
    public double phi() {
        return wished;
    }

    /** Returns the values of phi that the artifact serves; null while they are not known. */
    public Phi range() {
        return phi;
    }

    /** Returns the number of frames that the camera gave. */
    public int received() {
        return received.get();
    }

    /** Returns the number of frames that were segmented. */
    public int segmented() {
        return segmented.get();
    }

    @Override
    public void onFrame(YuvFrame frame) {
        if (isClosed) {
            return;
        }
        int number = received.incrementAndGet();
        if (isShowing.compareAndSet(false, true)) {
            Bitmap view = view(frame, number % 2);
            main.post(() -> {
                if (!isClosed) {
                    listener.onView(view);
                }
                isShowing.set(false);
            });
        }
        if (isSegmenting.compareAndSet(false, true)) {
            int[] size = frame.size(side);
            int[] argb = new int[size[0] * size[1]];
            frame.read(argb, size[0], size[1]);
            synchronized (thread) {
                if (!isClosed) {
                    thread.execute(() -> work(new ArgbPixels(argb, size[0], size[1])));
                }
            }
        }
    }

    /** Returns one of two bitmaps with a frame: the screen may still draw the other one. */
    private Bitmap view(YuvFrame frame, int number) {
        int[] size = frame.size(SHOWN_SIDE);
        if (pixels.length != size[0] * size[1]) {
            pixels = new int[size[0] * size[1]];
        }
        frame.read(pixels, size[0], size[1]);
        Bitmap view = views[number];
        if (view == null || view.getWidth() != size[0] || view.getHeight() != size[1]) {
            view = Bitmap.createBitmap(size[0], size[1], Bitmap.Config.ARGB_8888);
            views[number] = view;
        }
        view.setPixels(pixels, 0, size[0], 0, 0, size[0], size[1]);
        return view;
    }

    @Override
    public void onFailed(String sentence) {
        if (!isClosed) {
            close();
            listener.onFailed(sentence);
        }
    }

    private void work(ArgbPixels frame) {
        try {
            if (isClosed) {
                return;
            }
            Result result = result(frame);
            segmented.incrementAndGet();
            main.post(() -> {
                if (!isClosed) {
                    listener.onResult(result);
                }
            });
        } catch (CancelledException closed) {
            return;
        } catch (AppException error) {
            main.post(() -> onFailed(error.getMessage()));
        } catch (OutOfMemoryError error) {
            main.post(() -> onFailed("The phone has too little free memory to segment the camera's"
                    + " view; close other apps and try again."));
        } finally {
            isSegmenting.set(false);
        }
    }

    private Result result(ArgbPixels frame) throws AppException {
        load();
        Timed timed = new Timed(runner);
        byte[] labels = segmenter.segment(timed, frame, (done, total) -> {
            if (isClosed) {
                throw new CancelledException();
            }
        });
        Bitmap mask = Bitmap.createBitmap(
                Overlay.mask(labels, frame.width(), segmenter.names),
                frame.width(), frame.height(), Bitmap.Config.ARGB_8888);
        return new Result(mask, variant, timed.milliseconds(), segmenter.names.shares(labels));
    }

    /** Loads the program at the chosen phi, unless it is loaded. */
    private void load() throws AppException {
        if (artifact == null) {
            Artifact opened = new Bundled(context).open(Bundled.SEGMENTER);
            segmenter = new Segmenter(opened);
            side = Math.min(SEGMENTED_SIDE, segmenter.side());
            Phi served = Phi.of(opened);
            wished = Double.isNaN(wished) ? served.own() : served.nearest(wished);
            phi = served;
            artifact = opened;
        }
        double value = wished;
        if (runner == null || Double.compare(variant.phi, value) != 0) {
            release();
            variant = phi.at(value);
            runner = new Runners(context.getCacheDir(),
                    Math.min(4, Runtime.getRuntime().availableProcessors()))
                    .open(artifact, variant);
        }
    }

    private void release() {
        if (runner != null) {
            runner.close();
            runner = null;
        }
    }
}
