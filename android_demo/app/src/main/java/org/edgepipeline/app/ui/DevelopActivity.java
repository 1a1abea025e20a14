package org.edgepipeline.app.ui;

import android.app.Activity;
import android.content.Intent;
import android.net.Uri;
import android.os.Bundle;
import android.view.View;
import android.widget.ProgressBar;
import android.widget.SeekBar;
import android.widget.TextView;
import java.io.File;
import org.edgepipeline.app.R;
import org.edgepipeline.app.work.DevelopJob;
import org.edgepipeline.app.work.Documents;
import org.edgepipeline.app.work.Gallery;

/** The screen that develops a capture and shows it before and after. */
public final class DevelopActivity extends Activity implements DevelopJob.Listener {
    private static final String IS_DEVELOPING = "is_developing";
    private static final String SPLIT = "split";
    private static final String SOURCE = "source";
    static final int OPEN = 1;
    static final int CAPTURE = 2;
    static final int SAVE = 3;

    private PictureView picture;
    private TextView status;
    private ProgressBar progress;
    private SeekBar split;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.develop);
        picture = findViewById(R.id.picture);
        status = findViewById(R.id.status);
        progress = findViewById(R.id.progress);
        split = findViewById(R.id.split);
        findViewById(R.id.sample).setOnClickListener(view -> start(null));
        findViewById(R.id.open).setOnClickListener(
                view -> startActivityForResult(Documents.request("*/*"), OPEN));
        findViewById(R.id.camera).setOnClickListener(
                view -> startActivityForResult(new Intent(this, CameraActivity.class), CAPTURE));
        findViewById(R.id.save).setOnClickListener(view -> save());
        findViewById(R.id.cancel).setOnClickListener(view -> cancel());
        findViewById(R.id.more).setOnClickListener(view -> ScreenMenu.open(this, view));
        split.setOnSeekBarChangeListener(new SeekBar.OnSeekBarChangeListener() {
            @Override
            public void onProgressChanged(SeekBar bar, int value, boolean fromUser) {
                picture.setSplit((float) value / bar.getMax());
            }

            @Override
            public void onStartTrackingTouch(SeekBar bar) {}

            @Override
            public void onStopTrackingTouch(SeekBar bar) {}
        });
        if (saved != null) {
            split.setProgress(saved.getInt(SPLIT, split.getProgress()));
            // After the death of the process, its work begins again.
            if (saved.getBoolean(IS_DEVELOPING) && DevelopJob.current() == null) {
                Uri source = saved.getParcelable(SOURCE);
                DevelopJob.start(this, source);
            }
        }
    }

    @Override
    protected void onStart() {
        super.onStart();
        if (DevelopJob.current() != null) {
            DevelopJob.current().setListener(this);
            onJobChanged();
        }
    }

    @Override
    protected void onStop() {
        if (DevelopJob.current() != null) {
            DevelopJob.current().setListener(null);
        }
        super.onStop();
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        DevelopJob job = DevelopJob.current();
        boolean isWanted = job != null && (job.state() == DevelopJob.State.RUNNING
                || job.state() == DevelopJob.State.FINISHED);
        state.putBoolean(IS_DEVELOPING, isWanted);
        state.putParcelable(SOURCE, job == null ? null : job.source());
        state.putInt(SPLIT, split.getProgress());
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        if (result != RESULT_OK || data == null) {
            return;
        }
        if (request == CAPTURE && data.hasExtra(CameraActivity.DNG)) {
            start(Uri.fromFile(new File(data.getStringExtra(CameraActivity.DNG))));
            return;
        }
        if (data.getData() == null) {
            return;
        }
        if (request == SAVE) {
            saveAt(data.getData());
            return;
        }
        if (request == OPEN) {
            new Documents(this).keep(data.getData());
        }
        start(data.getData());
    }

    private void start(Uri source) {
        DevelopJob.start(this, source).setListener(this);
        onJobChanged();
    }

    private void save() {
        if (Gallery.isOpen()) {
            saveAt(null);
        } else if (DevelopJob.current() != null) {
            startActivityForResult(Gallery.request(DevelopJob.current().pictureName()), SAVE);
        }
    }

    private static void saveAt(Uri place) {
        if (DevelopJob.current() != null) {
            DevelopJob.current().save(place);
        }
    }

    private void cancel() {
        if (DevelopJob.current() != null) {
            DevelopJob.current().cancel();
        }
    }

    @Override
    public void onJobChanged() {
        DevelopJob job = DevelopJob.current();
        if (job == null) {
            return;
        }
        boolean isRunning = job.state() == DevelopJob.State.RUNNING;
        boolean isFinished = job.state() == DevelopJob.State.FINISHED;
        boolean isFailed = job.state() == DevelopJob.State.FAILED;
        picture.setPictures(isFailed ? null : job.before(), isFailed ? null : job.after());
        // While tiles arrive they cover the first picture; the boundary is for the finished one.
        picture.setSplit(isFinished ? (float) split.getProgress() / split.getMax() : 0);
        progress.setVisibility(isRunning ? View.VISIBLE : View.INVISIBLE);
        progress.setIndeterminate(job.total() == 0);
        progress.setMax(Math.max(1, job.total()));
        progress.setProgress(job.done());
        show(R.id.cancel, isRunning);
        show(R.id.sample, !isRunning);
        show(R.id.open, !isRunning);
        show(R.id.camera, !isRunning);
        show(R.id.save, isFinished);
        findViewById(R.id.save).setEnabled(!job.isSaving());
        show(R.id.comparison, isFinished);
        TextView before = findViewById(R.id.before);
        before.setText(job.hasPreview() ? R.string.before_camera : R.string.before);
        status.setText(textOf(job));
    }

    private void show(int view, boolean isVisible) {
        findViewById(view).setVisibility(isVisible ? View.VISIBLE : View.GONE);
    }

    private String textOf(DevelopJob job) {
        switch (job.state()) {
            case RUNNING:
                return job.total() == 0 ? getString(R.string.preparing)
                        : getString(R.string.tiles, Math.min(job.done() + 1, job.total()),
                                job.total());
            case FINISHED:
                if (job.isSaving()) {
                    return getString(R.string.saving);
                }
                if (!job.notice().isEmpty()) {
                    return job.notice();
                }
                return getString(R.string.finished, job.after().getWidth(),
                        job.after().getHeight(), job.seconds());
            case CANCELLED:
                return getString(R.string.cancelled);
            default:
                return job.failure();
        }
    }
}
