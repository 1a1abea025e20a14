package org.edgepipeline.app.camera;

import android.content.Context;
import org.edgepipeline.app.segment.YuvFrame;

/** A camera that gives its view frame by frame. Its methods belong to the main thread. */
public interface FrameCamera {
    /** Creates cameras. */
    interface Factory {
        /** Returns a closed camera. */
        FrameCamera create(Context context);
    }

    /** Is told about a camera; no more after it was closed. */
    interface Listener {
        /** Receives a frame, which is valid until this method returns, on the camera's thread. */
        void onFrame(YuvFrame frame);

        /** Reports a failure in one sentence, on the main thread; the camera is closed. */
        void onFailed(String sentence);
    }

    /**
     * Opens the camera, for which the app must have the permission.
     *
     * @param screenRotation how far the screen's content is turned: 0, 90, 180 or 270 degrees
     * @param listener receives frames
     */
    void open(int screenRotation, Listener listener);

    /** Releases the camera. */
    void close();
}
