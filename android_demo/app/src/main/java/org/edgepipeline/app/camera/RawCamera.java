package org.edgepipeline.app.camera;

import android.content.Context;
import android.view.TextureView;
import java.io.File;

/** A camera that captures the values of its sensor. Its methods belong to the main thread. */
public interface RawCamera {
    /** Creates cameras. */
    interface Factory {
        /** Returns a closed camera. */
        RawCamera create(Context context);
    }

    /** Is told about a camera, on the main thread; no more after it was closed. */
    interface Listener {
        /**
         * Reports that the camera shows its view and can capture.
         *
         * @param width width of a capture in pixels
         * @param height height of a capture in pixels
         */
        void onReady(int width, int height);

        /**
         * Reports a capture.
         *
         * @param dng complete DNG file with the sensor's values and the metadata of the capture
         */
        void onCaptured(File dng);

        /** Reports a failure in one sentence; the camera is closed. */
        void onFailed(String sentence);
    }

    /**
     * Opens the camera, for which the app must have the permission.
     *
     * @param view shows what the camera sees
     * @param listener is told about the camera
     */
    void open(TextureView view, Listener listener);

    /** Captures once; only after {@link Listener#onReady}. */
    void capture();

    /** Releases the camera. */
    void close();
}
