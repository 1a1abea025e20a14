package org.edgepipeline.app.ui;

import android.content.Intent;
import android.net.Uri;
import android.os.Bundle;
import org.edgepipeline.app.R;
import org.edgepipeline.app.screen.JobActivity;
import org.edgepipeline.app.work.Documents;
import org.edgepipeline.app.work.SegmentJob;

/** The screen that segments a picture at a value of phi. */
public final class SegmentActivity extends JobActivity<SegmentJob> {
    static final int OPEN = 1;
    private static final String IS_SEGMENTING = "is_segmenting";
    private static final String SOURCE = "source";
    private static final String PHI = "phi";

    private PictureView picture;
    private PhiSlider slider;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.segment);
        picture = findViewById(R.id.picture);
        picture.setSplit(0);
        slider = new PhiSlider(this, value -> job().setPhi(value));
        findViewById(R.id.more).setOnClickListener(view -> ScreenMenu.open(this, view));
        findViewById(R.id.sample).setOnClickListener(view -> start(null, Double.NaN));
        findViewById(R.id.live).setOnClickListener(
                view -> startActivity(new Intent(this, LiveActivity.class)));
        findViewById(R.id.open).setOnClickListener(
                view -> startActivityForResult(Documents.request("image/*"), OPEN));
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

    @Override
    protected void show(SegmentJob job) {
        SegmentJob.Result result = job.result();
        boolean isFailed = job.state() == SegmentJob.State.FAILED;
        picture.setPictures(isFailed ? null : job.picture(),
                isFailed || result == null ? null : result.overlay);
        slider.show(job.range(), job.phi());
        visible(R.id.live, !job.isRunning()); // Cancel takes its place
        say(job.state() == SegmentJob.State.FINISHED ? textOf(result) : unfinished(job));
    }

    private String textOf(SegmentJob.Result result) {
        return PhiSlider.cost(this, result.phi, result.macs, result.milliseconds, result.shares);
    }
}
