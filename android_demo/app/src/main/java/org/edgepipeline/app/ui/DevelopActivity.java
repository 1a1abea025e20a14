package org.edgepipeline.app.ui;

import android.app.Activity;
import android.app.AlertDialog;
import android.content.Intent;
import android.os.Bundle;
import android.view.View;
import android.widget.ProgressBar;
import android.widget.SeekBar;
import android.widget.TextView;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Scanner;
import org.edgepipeline.app.R;
import org.edgepipeline.app.bench.BenchActivity;
import org.edgepipeline.app.work.DevelopJob;

/** The screen that develops a capture and shows it before and after. */
public final class DevelopActivity extends Activity implements DevelopJob.Listener {
    private static final String IS_DEVELOPING = "is_developing";
    private static final String SPLIT = "split";

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
        findViewById(R.id.sample).setOnClickListener(view -> start());
        findViewById(R.id.cancel).setOnClickListener(view -> cancel());
        findViewById(R.id.licences).setOnClickListener(view -> showLicences());
        findViewById(R.id.benchmark).setOnClickListener(
                view -> startActivity(new Intent(this, BenchActivity.class)));
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
                DevelopJob.startSample(this);
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
        state.putInt(SPLIT, split.getProgress());
    }

    private void start() {
        DevelopJob.startSample(this).setListener(this);
        onJobChanged();
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
        show(R.id.comparison, isFinished);
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
                return getString(R.string.finished, job.after().getWidth(),
                        job.after().getHeight(), job.seconds());
            case CANCELLED:
                return getString(R.string.cancelled);
            default:
                return job.failure();
        }
    }

    private void showLicences() {
        String text;
        try (InputStream stream = getResources().openRawResource(R.raw.notices);
                Scanner scanner = new Scanner(stream, StandardCharsets.UTF_8.name())) {
            text = scanner.useDelimiter("\\A").next();
        } catch (IOException error) {
            throw new IllegalStateException("the app contains its licences", error);
        }
        new AlertDialog.Builder(this)
                .setTitle(R.string.licences)
                .setMessage(text)
                .setPositiveButton(R.string.close, null)
                .show();
    }
}
