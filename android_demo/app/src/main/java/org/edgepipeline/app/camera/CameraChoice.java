package org.edgepipeline.app.camera;

import android.graphics.ImageFormat;
import android.graphics.SurfaceTexture;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.params.StreamConfigurationMap;
import android.util.Size;

/** The back camera of a phone that gives RAW captures. */
final class CameraChoice {
    private static final int LONGEST_PREVIEW = 1920;

    final String id;
    final CameraCharacteristics about;
    /** Size of a capture. */
    final Size size;

    private CameraChoice(String id, CameraCharacteristics about, Size size) {
        this.id = id;
        this.about = about;
        this.size = size;
    }

    /** Returns the first back camera with RAW captures, or null. */
    static CameraChoice of(CameraManager manager) throws CameraAccessException {
        for (String id : manager.getCameraIdList()) {
            CameraCharacteristics found = manager.getCameraCharacteristics(id);
            Integer facing = found.get(CameraCharacteristics.LENS_FACING);
            StreamConfigurationMap map =
                    found.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP);
            int[] able = found.get(CameraCharacteristics.REQUEST_AVAILABLE_CAPABILITIES);
            Size[] sizes = map == null ? null : map.getOutputSizes(ImageFormat.RAW_SENSOR);
            boolean isBack = facing != null && facing == CameraCharacteristics.LENS_FACING_BACK;
            if (isBack && hasRaw(able) && sizes != null && sizes.length > 0) {
                return new CameraChoice(id, found, sizes[0]);
            }
        }
        return null;
    }

    private static boolean hasRaw(int[] able) {
        for (int one : able == null ? new int[0] : able) {
            if (one == CameraCharacteristics.REQUEST_AVAILABLE_CAPABILITIES_RAW) {
                return true;
            }
        }
        return false;
    }

    /** Returns the largest size of a view whose shape is nearest to that of a capture. */
    Size previewSize() {
        Size best = new Size(640, 480);
        double distance = Double.MAX_VALUE;
        double wished = (double) size.getWidth() / size.getHeight();
        StreamConfigurationMap map =
                about.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP);
        for (Size one : map.getOutputSizes(SurfaceTexture.class)) {
            double own = Math.abs((double) one.getWidth() / one.getHeight() - wished);
            boolean isLarger = (long) one.getWidth() * one.getHeight()
                    > (long) best.getWidth() * best.getHeight();
            boolean isBetter = own < distance - 0.01 || (own < distance + 0.01 && isLarger);
            if (one.getWidth() <= LONGEST_PREVIEW && isBetter) {
                best = one;
                distance = own;
            }
        }
        return best;
    }
}
