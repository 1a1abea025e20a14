package org.edgepipeline.app.camera;

import android.content.Context;
import android.graphics.ImageFormat;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.params.StreamConfigurationMap;
import android.media.Image;
import android.media.ImageReader;
import android.util.Size;
import java.util.Collections;
import org.edgepipeline.app.segment.YuvFrame;

/**
 * The frames of the phone's back camera, through Camera2.
 *
 * <p>This class has not been run: the machines of the project have no camera.
 */
public final class PhoneFrames implements FrameCamera {
    private static final int LONGEST = 1280;

    private final CameraManager manager;
    private CameraLink link;
    private ImageReader reader;

    /**
     * Creates a closed camera.
     *
     * @param context any context of the app
     */
    public PhoneFrames(Context context) {
        manager = (CameraManager) context.getSystemService(Context.CAMERA_SERVICE);
    }

    @Override
    public void open(int screenRotation, Listener listener) {
        link = new CameraLink(new CameraLink.Listener() {
            @Override
            public void onSession() throws CameraAccessException {
                link.repeat(reader.getSurface());
            }

            @Override
            public void onFailed(String sentence) {
                close();
                listener.onFailed(sentence);
            }
        });
        try {
            for (String id : manager.getCameraIdList()) {
                CameraCharacteristics about = manager.getCameraCharacteristics(id);
                Integer facing = about.get(CameraCharacteristics.LENS_FACING);
                if (facing != null && facing == CameraCharacteristics.LENS_FACING_BACK) {
                    start(id, about, screenRotation, listener);
                    return;
                }
            }
        } catch (CameraAccessException | IllegalArgumentException error) {
            link.fail("The camera cannot be opened; close other apps that use it.");
            return;
        }
        link.fail("This phone has no back camera; open a picture.");
    }

    private void start(
            String id, CameraCharacteristics about, int screenRotation, Listener listener) {
        Size size = size(about.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP));
        Integer sensor = about.get(CameraCharacteristics.SENSOR_ORIENTATION);
        int rotation = ((sensor == null ? 90 : sensor) - screenRotation + 360) % 360;
        reader = ImageReader.newInstance(
                size.getWidth(), size.getHeight(), ImageFormat.YUV_420_888, 2);
        reader.setOnImageAvailableListener(
                from -> pass(from, rotation, listener), link.handler());
        link.open(manager, id, Collections.singletonList(reader.getSurface()));
    }

    /** Returns the largest size up to 1280 pixels; 640 x 480 exists on every phone. */
    private static Size size(StreamConfigurationMap map) {
        Size best = new Size(640, 480);
        Size[] sizes = map == null ? null : map.getOutputSizes(ImageFormat.YUV_420_888);
        for (Size one : sizes == null ? new Size[0] : sizes) {
            boolean isLarger = (long) one.getWidth() * one.getHeight()
                    > (long) best.getWidth() * best.getHeight();
            if (isLarger && Math.max(one.getWidth(), one.getHeight()) <= LONGEST) {
                best = one;
            }
        }
        return best;
    }

    private static void pass(ImageReader from, int rotation, Listener listener) {
        try (Image image = from.acquireLatestImage()) {
            if (image == null) {
                return;
            }
            YuvFrame.Plane[] planes = new YuvFrame.Plane[3];
            for (int i = 0; i < planes.length; i++) {
                Image.Plane own = image.getPlanes()[i];
                planes[i] = new YuvFrame.Plane(
                        own.getBuffer(), own.getRowStride(), own.getPixelStride());
            }
            listener.onFrame(
                    new YuvFrame(image.getWidth(), image.getHeight(), rotation, planes));
        } catch (IllegalStateException closed) {
            return; // the camera was closed in between
        }
    }

    @Override
    public void close() {
        if (link != null) {
            link.close();
            link = null;
        }
        if (reader != null) {
            reader.close();
            reader = null;
        }
    }
}
