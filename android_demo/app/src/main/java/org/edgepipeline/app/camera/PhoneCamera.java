package org.edgepipeline.app.camera;

import android.content.Context;
import android.graphics.ImageFormat;
import android.graphics.SurfaceTexture;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCaptureSession;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraDevice;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.CaptureRequest;
import android.hardware.camera2.CaptureResult;
import android.hardware.camera2.DngCreator;
import android.hardware.camera2.TotalCaptureResult;
import android.media.Image;
import android.media.ImageReader;
import android.os.Handler;
import android.os.Looper;
import android.util.Size;
import android.view.OrientationEventListener;
import android.view.Surface;
import android.view.TextureView;
import java.io.File;
import java.io.IOException;
import java.util.Arrays;

/**
 * The phone's back camera, through Camera2, with DNG files by DngCreator.
 *
 * <p>This class has not been run: the machines of the project have no camera.
 */
public final class PhoneCamera implements RawCamera {
    private static final String NONE =
            "This phone's cameras give no RAW captures to apps; open a DNG file.";

    private final Context context;
    private final CameraManager manager;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final OrientationEventListener turns;
    private volatile int rotation;
    private volatile Listener listener;
    private CameraLink link;
    private CameraChoice choice;
    private ImageReader reader;
    private Surface preview;
    private Image image;
    private TotalCaptureResult result;

    /**
     * Creates a closed camera.
     *
     * @param context any context of the app
     */
    public PhoneCamera(Context context) {
        this.context = context.getApplicationContext();
        manager = (CameraManager) context.getSystemService(Context.CAMERA_SERVICE);
        turns = new OrientationEventListener(this.context) {
            @Override
            public void onOrientationChanged(int degrees) {
                if (degrees != ORIENTATION_UNKNOWN) {
                    rotation = (degrees + 45) / 90 % 4 * 90;
                }
            }
        };
    }

    @Override
    public void open(TextureView view, Listener told) {
        listener = told;
        link = new CameraLink(new CameraLink.Listener() {
            @Override
            public void onSession() throws CameraAccessException {
                link.repeat(preview);
                listener.onReady(choice.size.getWidth(), choice.size.getHeight());
            }

            @Override
            public void onFailed(String sentence) {
                fail(sentence);
            }
        });
        turns.enable();
        if (view.isAvailable()) {
            start(view.getSurfaceTexture());
            return;
        }
        view.setSurfaceTextureListener(new TextureView.SurfaceTextureListener() {
            @Override
            public void onSurfaceTextureAvailable(SurfaceTexture texture, int wide, int high) {
                start(texture);
            }

            @Override
            public void onSurfaceTextureSizeChanged(SurfaceTexture texture, int wide, int high) {}

            @Override
            public boolean onSurfaceTextureDestroyed(SurfaceTexture texture) {
                return true;
            }

            @Override
            public void onSurfaceTextureUpdated(SurfaceTexture texture) {}
        });
    }

    private void start(SurfaceTexture texture) {
        if (listener == null) {
            return;
        }
        try {
            choice = CameraChoice.of(manager);
            if (choice == null) {
                fail(NONE);
                return;
            }
            Size size = choice.size;
            Size shown = choice.previewSize();
            texture.setDefaultBufferSize(shown.getWidth(), shown.getHeight());
            preview = new Surface(texture);
            reader = ImageReader.newInstance(
                    size.getWidth(), size.getHeight(), ImageFormat.RAW_SENSOR, 2);
            reader.setOnImageAvailableListener(this::onImage, link.handler());
            link.open(manager, choice.id, Arrays.asList(preview, reader.getSurface()));
        } catch (CameraAccessException | IllegalArgumentException error) {
            fail("The camera cannot be opened; close other apps that use it.");
        }
    }

    @Override
    public void capture() {
        try {
            CaptureRequest.Builder request =
                    link.request(CameraDevice.TEMPLATE_STILL_CAPTURE, reader.getSurface());
            request.set(CaptureRequest.STATISTICS_LENS_SHADING_MAP_MODE,
                    CaptureRequest.STATISTICS_LENS_SHADING_MAP_MODE_ON);
            link.capture(request, new CameraCaptureSession.CaptureCallback() {
                @Override
                public void onCaptureCompleted(CameraCaptureSession own, CaptureRequest made,
                        TotalCaptureResult found) {
                    result = found;
                    finish();
                }
            });
        } catch (CameraAccessException | IllegalStateException error) {
            fail("The camera did not capture; try again.");
        }
    }

    private void onImage(ImageReader from) {
        drop();
        image = from.acquireNextImage();
        finish();
    }

    private void drop() {
        if (image != null) {
            image.close();
            image = null;
        }
    }

    /** Writes the file as soon as the values and the metadata of one capture are there. */
    private void finish() {
        if (image == null || result == null) {
            return;
        }
        Long time = result.get(CaptureResult.SENSOR_TIMESTAMP);
        if (time == null || time != image.getTimestamp()) {
            return;
        }
        try (DngCreator creator = new DngCreator(choice.about, result)) {
            creator.setOrientation(orientation());
            File file = Captures.store(context, stream -> creator.writeImage(stream, image));
            main.post(() -> {
                if (listener != null) {
                    listener.onCaptured(file);
                }
            });
        } catch (IOException | IllegalArgumentException | IllegalStateException error) {
            fail("The capture cannot be stored; free some storage and try again.");
        } finally {
            drop();
            result = null;
        }
    }

    /** Returns the EXIF orientation of a capture as the phone is held. */
    private int orientation() {
        Integer sensor = choice.about.get(CameraCharacteristics.SENSOR_ORIENTATION);
        return exif((sensor == null ? 90 : sensor) + rotation);
    }

    /** Returns the EXIF orientation of a picture that is upright after a turn to the right. */
    static int exif(int degrees) {
        int[] orientations = {1, 6, 3, 8};
        return orientations[degrees / 90 % 4];
    }

    private void fail(String sentence) {
        main.post(() -> {
            Listener told = listener;
            close();
            if (told != null) {
                told.onFailed(sentence);
            }
        });
    }

    @Override
    public void close() {
        listener = null;
        turns.disable();
        if (link != null) {
            link.close();
            link = null;
        }
        if (reader != null) {
            reader.close();
            reader = null;
        }
        if (preview != null) {
            preview.release();
            preview = null;
        }
    }
}
