package org.edgepipeline.app.ui;

import android.content.Intent;
import android.net.Uri;
import android.os.Bundle;
import android.widget.SeekBar;
import android.widget.TextView;
import java.util.Map;
import org.edgepipeline.app.R;
import org.edgepipeline.app.artifact.Phi;
import org.edgepipeline.app.screen.JobActivity;
import org.edgepipeline.app.work.Documents;
import org.edgepipeline.app.work.SegmentJob;

/** The screen that segments a picture at a value of phi. */
public final class SegmentActivity extends JobActivity<SegmentJob> {
    static final int OPEN = 1;
    private static final String IS_SEGMENTING = "is_segmenting";
    private static final String SOURCE = "source";
    private static final String PHI = "phi";
    /** Steps of the slider, so that phi has three decimals. */
    private static final double STEPS = 1000;

    private PictureView picture;
    private TextView label;
    private SeekBar slider;
    private boolean isShowing;
    private boolean isTouched;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.segment);
        picture = findViewById(R.id.picture);
        picture.setSplit(0);
        label = findViewById(R.id.phi_label);
        slider = findViewById(R.id.phi);
        findViewById(R.id.more).setOnClickListener(view -> ScreenMenu.open(this, view));
        findViewById(R.id.sample).setOnClickListener(view -> start(null, Double.NaN));
        findViewById(R.id.open).setOnClickListener(
                view -> startActivityForResult(Documents.request("image/*"), OPEN));
        slider.setOnSeekBarChangeListener(new SeekBar.OnSeekBarChangeListener() {
            @Override
            public void onProgressChanged(SeekBar bar, int value, boolean fromUser) {
                moved(value);
            }

            @Override
            public void onStartTrackingTouch(SeekBar bar) {
                isTouched = true;
            }

            @Override
            public void onStopTrackingTouch(SeekBar bar) {
                isTouched = false;
                onJobChanged(); // the slider shows the value that the artifact serves
            }
        });
        // After the death of the process, its work begins again.
        if (saved != null && saved.getBoolean(IS_SEGMENTING) && SegmentJob.current() == null) {
            Uri source = saved.getParcelable(SOURCE);
            start(source, saved.getDouble(PHI, Double.NaN));
        }
    }

    @Override
    protected SegmentJob job() {
        return SegmentJob.current();
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        SegmentJob job = SegmentJob.current();
        state.putBoolean(IS_SEGMENTING, job != null);
        if (job != null) {
            state.putParcelable(SOURCE, job.source());
            state.putDouble(PHI, job.phi());
        }
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        if (request == OPEN && result == RESULT_OK && data != null && data.getData() != null) {
            new Documents(this).keep(data.getData());
            start(data.getData(),
                    SegmentJob.current() == null ? Double.NaN : SegmentJob.current().phi());
        }
    }

    private void start(Uri source, double phi) {
        follow(SegmentJob.start(this, source, phi));
    }

    private void moved(int value) {
        SegmentJob job = SegmentJob.current();
        if (!isShowing && job != null && job.range() != null) {
            job.setPhi(Math.rint(job.range().low() * STEPS + value) / STEPS);
        }
    }

    @Override
    protected void show(SegmentJob job) {
        SegmentJob.Result result = job.result();
        boolean isFailed = job.state() == SegmentJob.State.FAILED;
        picture.setPictures(isFailed ? null : job.picture(),
                isFailed || result == null ? null : result.overlay);
        showSlider(job);
        say(job.state() == SegmentJob.State.FINISHED ? textOf(result) : unfinished(job));
    }

    private void showSlider(SegmentJob job) {
        Phi range = job.range();
        boolean isFree = range != null && range.isFree();
        visible(R.id.phi_row, isFree);
        if (!isFree) {
            return;
        }
        label.setText(getString(R.string.phi, job.phi()));
        if (!isTouched) {
            isShowing = true;
            slider.setMax((int) Math.rint((range.high() - range.low()) * STEPS));
            slider.setProgress((int) Math.rint((job.phi() - range.low()) * STEPS));
            isShowing = false;
        }
    }

    private String textOf(SegmentJob.Result result) {
        StringBuilder text = new StringBuilder();
        if (!Double.isNaN(result.phi)) {
            text.append(getString(R.string.phi, result.phi)).append(" · ");
        }
        text.append(getString(R.string.cost, result.macs / 1e6, result.milliseconds));
        for (Map.Entry<String, Double> share : result.shares.entrySet()) {
            text.append("\n").append(
                    getString(R.string.share, share.getKey(), 100 * share.getValue()));
        }
        return text.toString();
    }
}
