package org.edgepipeline.app.ui;

import android.Manifest;
import android.app.Activity;
import android.content.pm.PackageManager;
import android.view.View;
import android.widget.TextView;
import org.edgepipeline.app.R;

/** Asks for the camera on a screen with a line `status` and a button `allow`. */
final class CameraPermission {
    private static final int REQUEST = 1;

    private final Activity screen;
    private final int reason;
    private boolean isRefused;

    /**
     * Prepares a screen.
     *
     * @param screen the screen, whose layout is set
     * @param reason sentence about the use of the camera
     */
    CameraPermission(Activity screen, int reason) {
        this.screen = screen;
        this.reason = reason;
        screen.findViewById(R.id.allow).setOnClickListener(view -> screen.requestPermissions(
                new String[] {Manifest.permission.CAMERA}, REQUEST));
    }

    /** Returns whether the app may use the camera; otherwise, the screen says why it should. */
    boolean isGranted() {
        boolean isGranted = screen.checkSelfPermission(Manifest.permission.CAMERA)
                == PackageManager.PERMISSION_GRANTED;
        screen.findViewById(R.id.allow).setVisibility(
                isGranted || isRefused ? View.GONE : View.VISIBLE);
        if (!isGranted) {
            TextView status = screen.findViewById(R.id.status);
            status.setText(isRefused ? R.string.camera_refused : reason);
        }
        return isGranted;
    }

    /** Follows the answer to the system's question. */
    void answered(int[] results) {
        isRefused = results.length > 0 && results[0] != PackageManager.PERMISSION_GRANTED
                && !screen.shouldShowRequestPermissionRationale(Manifest.permission.CAMERA);
    }
}
