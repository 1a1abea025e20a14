package org.edgepipeline.app.ui;

import android.content.Intent;
import android.net.Uri;
import android.os.Bundle;
import android.widget.SeekBar;
import android.widget.TextView;
import java.io.File;
import org.edgepipeline.app.R;
import org.edgepipeline.app.correct.Corrections;
import org.edgepipeline.app.screen.JobActivity;
import org.edgepipeline.app.work.DevelopJob;
import org.edgepipeline.app.work.Documents;
import org.edgepipeline.app.work.Gallery;

/** The screen that develops a capture and shows it before and after. */
public final class DevelopActivity extends JobActivity<DevelopJob> {
    private static final String IS_DEVELOPING = "is_developing";
    private static final String SPLIT = "split";
    private static final String SOURCE = "source";
    static final int OPEN = 1;
    static final int CAPTURE = 2;
    static final int SAVE = 3;

    private PictureView picture;
    private SeekBar split;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.develop);
        picture = findViewById(R.id.picture);
        split = findViewById(R.id.split);
        findViewById(R.id.sample).setOnClickListener(view -> start(null));
        findViewById(R.id.open).setOnClickListener(
                view -> startActivityForResult(Documents.request("*/*"), OPEN));
        findViewById(R.id.camera).setOnClickListener(
                view -> startActivityForResult(new Intent(this, CameraActivity.class), CAPTURE));
        findViewById(R.id.save).setOnClickListener(view -> save());
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
    protected DevelopJob job() {
        return DevelopJob.current();
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
        follow(DevelopJob.start(this, source));
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

    @Override
    protected void show(DevelopJob job) {
        boolean isRunning = job.isRunning();
        boolean isFinished = job.state() == DevelopJob.State.FINISHED;
        boolean isFailed = job.state() == DevelopJob.State.FAILED;
        picture.setPictures(isFailed ? null : job.before(), isFailed ? null : job.after());
        // While tiles arrive they cover the first picture; the boundary is for the finished one.
        picture.setSplit(isFinished ? (float) split.getProgress() / split.getMax() : 0);
        visible(R.id.sample, !isRunning);
        visible(R.id.open, !isRunning);
        visible(R.id.camera, !isRunning);
        visible(R.id.save, isFinished);
        findViewById(R.id.save).setEnabled(!job.isSaving());
        visible(R.id.comparison, isFinished);
        TextView before = findViewById(R.id.before);
        before.setText(job.hasPreview() ? R.string.before_camera : R.string.before);
        say(isFinished ? textOf(job) : unfinished(job));
    }

    private String textOf(DevelopJob job) {
        if (job.isSaving()) {
            return getString(R.string.saving);
        }
        if (!job.notice().isEmpty()) {
            return job.notice();
        }
        StringBuilder text = new StringBuilder(getString(R.string.finished,
                job.after().getWidth(), job.after().getHeight(), job.seconds()));
        Corrections found = job.corrections();
        if (found.hotPixels + found.deadPixels > 0) {
            text.append("\n").append(
                    getString(R.string.repaired, found.hotPixels + found.deadPixels));
        }
        if (found.isRedMoved || found.isBlueMoved) {
            text.append("\n").append(getString(R.string.realigned));
        }
        return text.toString();
    }
}
