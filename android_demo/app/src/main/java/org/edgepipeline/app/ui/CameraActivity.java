package org.edgepipeline.app.ui;

import android.app.Activity;
import android.content.Intent;
import android.os.Bundle;
import android.view.View;
import android.widget.TextView;
import java.io.File;
import org.edgepipeline.app.R;
import org.edgepipeline.app.camera.PhoneCamera;
import org.edgepipeline.app.camera.RawCamera;

/** The screen that captures a RAW picture; its result is the path of the DNG file. */
public final class CameraActivity extends Activity implements RawCamera.Listener {
    /** Extra of the result: path of the DNG file. */
    static final String DNG = "dng";

    /** Creates the camera; tests replace it. */
    static RawCamera.Factory cameras = PhoneCamera::new;

    private TextView status;
    private RawCamera camera;
    private CameraPermission permission;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.camera);
        status = findViewById(R.id.status);
        permission = new CameraPermission(this, R.string.camera_reason);
        findViewById(R.id.back).setOnClickListener(view -> finish());
        findViewById(R.id.capture).setOnClickListener(view -> capture());
    }

    @Override
    protected void onStart() {
        super.onStart();
        begin();
    }

    private void begin() {
        show(R.id.capture, false);
        if (permission.isGranted()) {
            status.setText(R.string.camera_starting);
            camera = cameras.create(this);
            camera.open(findViewById(R.id.view), this);
        }
    }

    @Override
    protected void onStop() {
        close();
        super.onStop();
    }

    private void close() {
        if (camera != null) {
            camera.close();
            camera = null;
        }
    }

    @Override
    public void onRequestPermissionsResult(int request, String[] permissions, int[] results) {
        permission.answered(results);
        if (camera == null) {
            begin();
        }
    }

    private void capture() {
        show(R.id.capture, false);
        status.setText(R.string.capturing);
        camera.capture();
    }

    private void show(int view, boolean isVisible) {
        findViewById(view).setVisibility(isVisible ? View.VISIBLE : View.GONE);
    }

    @Override
    public void onReady(int width, int height) {
        status.setText(getString(R.string.camera_ready, width, height));
        show(R.id.capture, true);
    }

    @Override
    public void onCaptured(File dng) {
        setResult(RESULT_OK, new Intent().putExtra(DNG, dng.getPath()));
        finish();
    }

    @Override
    public void onFailed(String sentence) {
        camera = null;
        show(R.id.capture, false);
        status.setText(sentence);
    }
}
