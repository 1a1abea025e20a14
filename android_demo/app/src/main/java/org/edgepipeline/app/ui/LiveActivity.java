package org.edgepipeline.app.ui;

import android.app.Activity;
import android.graphics.Bitmap;
import android.os.Bundle;
import android.view.Surface;
import android.view.WindowManager;
import android.widget.TextView;
import org.edgepipeline.app.R;
import org.edgepipeline.app.camera.FrameCamera;
import org.edgepipeline.app.camera.PhoneFrames;
import org.edgepipeline.app.work.LiveSession;

/** The screen that segments what the camera sees. */
public final class LiveActivity extends Activity implements LiveSession.Listener {
    private static final String PHI = "phi";

    /** Creates the camera; tests replace it. */
    static FrameCamera.Factory cameras = PhoneFrames::new;

    private LiveView view;
    private TextView status;
    private PhiSlider slider;
    private CameraPermission permission;
    private LiveSession session;
    private double phi = Double.NaN;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.live);
        view = findViewById(R.id.view);
        status = findViewById(R.id.status);
        permission = new CameraPermission(this, R.string.live_reason);
        slider = new PhiSlider(this, this::choose);
        findViewById(R.id.back).setOnClickListener(button -> finish());
        phi = saved == null ? Double.NaN : saved.getDouble(PHI, Double.NaN);
        getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
    }

    @Override
    protected void onStart() {
        super.onStart();
        begin();
    }

    private void begin() {
        if (permission.isGranted()) {
            status.setText(R.string.camera_starting);
            session = new LiveSession(this, cameras.create(this), phi, this);
            session.open(screenRotation());
        }
    }

    @SuppressWarnings("deprecation") // its successor requires Android 11
    private int screenRotation() {
        switch (getWindowManager().getDefaultDisplay().getRotation()) {
            case Surface.ROTATION_90:
                return 90;
            case Surface.ROTATION_180:
                return 180;
            case Surface.ROTATION_270:
                return 270;
            default:
                return 0;
        }
    }

    @Override
    protected void onStop() {
        if (session != null) {
            session.close();
            session = null;
        }
        super.onStop();
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        state.putDouble(PHI, phi);
    }

    @Override
    public void onRequestPermissionsResult(int request, String[] permissions, int[] results) {
        permission.answered(results);
        if (session == null) {
            begin();
        }
    }

    private void choose(double value) {
        if (session != null) {
            session.setPhi(value);
            phi = session.phi();
            slider.show(session.range(), phi);
        }
    }

    /** Returns the session, or null. */
    LiveSession session() {
        return session;
    }

    @Override
    public void onView(Bitmap frame) {
        view.setFrame(frame);
    }

    @Override
    public void onResult(LiveSession.Result result) {
        view.setMask(result.mask);
        phi = session.phi();
        slider.show(session.range(), phi);
        status.setText(getString(R.string.live_frames,
                PhiSlider.cost(this, result.phi, result.macs, result.milliseconds, result.shares),
                session.segmented(), session.received()));
    }

    @Override
    public void onFailed(String sentence) {
        session = null;
        view.setFrame(null);
        view.setMask(null);
        slider.show(null, Double.NaN);
        status.setText(sentence);
    }
}
