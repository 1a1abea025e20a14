package org.edgepipeline.app.camera;

import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCaptureSession;
import android.hardware.camera2.CameraDevice;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.CaptureRequest;
import android.os.Handler;
import android.os.HandlerThread;
import android.os.Looper;
import android.view.Surface;
import java.util.List;

/**
 * An open camera of Camera2 and its session, on a thread of its own.
 *
 * <p>This class has not been run: the machines of the project have no camera. Its methods belong
 * to the main thread.
 */
final class CameraLink {
    /** Is told about the link on the main thread; no more after it was closed. */
    interface Listener {
        /** Reports that the camera gives pictures. */
        void onSession() throws CameraAccessException;

        /** Reports a failure in one sentence; the link is to be closed. */
        void onFailed(String sentence);
    }

    private static final String FAILED = "The camera failed; open it again.";

    private final Handler main = new Handler(Looper.getMainLooper());
    private final HandlerThread thread = new HandlerThread("camera");
    private volatile Listener listener;
    private Handler handler;
    private List<Surface> surfaces;
    private CameraDevice device;
    private CameraCaptureSession session;

    CameraLink(Listener listener) {
        this.listener = listener;
        thread.start();
        handler = new Handler(thread.getLooper());
    }

    /** Returns the queue of the camera's thread. */
    Handler handler() {
        return handler;
    }

    /** Opens a camera for pictures on some surfaces. */
    void open(CameraManager manager, String id, List<Surface> targets) {
        surfaces = targets;
        try {
            manager.openCamera(id, new DeviceState(), handler);
        } catch (CameraAccessException | SecurityException | IllegalArgumentException error) {
            fail("The camera cannot be opened; close other apps that use it.");
        }
    }

    /** Returns a request for pictures on a surface, with focus and exposure of the camera. */
    CaptureRequest.Builder request(int template, Surface surface) throws CameraAccessException {
        CaptureRequest.Builder request = device.createCaptureRequest(template);
        request.addTarget(surface);
        request.set(CaptureRequest.CONTROL_AF_MODE,
                CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE);
        request.set(CaptureRequest.CONTROL_AE_MODE, CaptureRequest.CONTROL_AE_MODE_ON);
        return request;
    }

    /** Repeats a request for previews. */
    void repeat(Surface surface) throws CameraAccessException {
        session.setRepeatingRequest(
                request(CameraDevice.TEMPLATE_PREVIEW, surface).build(), null, handler);
    }

    /** Captures once. */
    void capture(CaptureRequest.Builder request, CameraCaptureSession.CaptureCallback callback)
            throws CameraAccessException {
        session.capture(request.build(), callback, handler);
    }

    /** Reports a failure, from any thread. */
    void fail(String sentence) {
        main.post(() -> {
            if (listener != null) {
                listener.onFailed(sentence);
            }
        });
    }

    /** Releases the camera. */
    void close() {
        listener = null;
        if (session != null) {
            session.close();
            session = null;
        }
        if (device != null) {
            device.close();
            device = null;
        }
        thread.quitSafely();
    }

    /** Follows the device. */
    private final class DeviceState extends CameraDevice.StateCallback {
        @Override
        public void onOpened(CameraDevice opened) {
            main.post(() -> begin(opened));
        }

        @Override
        public void onDisconnected(CameraDevice lost) {
            lost.close();
            fail("Another app took the camera; open it again.");
        }

        @Override
        public void onError(CameraDevice lost, int error) {
            lost.close();
            fail(FAILED);
        }
    }

    @SuppressWarnings("deprecation") // its successor requires Android 9
    private void begin(CameraDevice opened) {
        if (listener == null) {
            opened.close();
            return;
        }
        device = opened;
        try {
            device.createCaptureSession(surfaces, new CameraCaptureSession.StateCallback() {
                @Override
                public void onConfigured(CameraCaptureSession made) {
                    main.post(() -> show(made));
                }

                @Override
                public void onConfigureFailed(CameraCaptureSession failed) {
                    fail("This phone's camera does not give such pictures to apps; open a file.");
                }
            }, handler);
        } catch (CameraAccessException | IllegalStateException error) {
            fail(FAILED);
        }
    }

    private void show(CameraCaptureSession made) {
        if (listener == null) {
            return;
        }
        session = made;
        try {
            listener.onSession();
        } catch (CameraAccessException | IllegalStateException error) {
            fail(FAILED);
        }
    }
}
