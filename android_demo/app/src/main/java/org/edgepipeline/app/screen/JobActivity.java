package org.edgepipeline.app.screen;

import android.app.Activity;
import android.view.View;
import android.widget.ProgressBar;
import android.widget.TextView;
import org.edgepipeline.app.R;

/**
 * A screen that starts a job, follows it while it is visible, and shows its progress.
 *
 * <p>Its layout has a line `status`, a bar `progress` and a button `cancel`.
 *
 * @param <J> kind of its jobs
 */
public abstract class JobActivity<J extends ScreenJob> extends Activity
        implements ScreenJob.Listener {
    private TextView status;
    private ProgressBar progress;

    /** Returns the job of this process, or null. */
    protected abstract J job();

    /** Shows a job that has changed; progress is shown already. */
    protected abstract void show(J job);

    @Override
    public final void setContentView(int layout) {
        super.setContentView(layout);
        status = findViewById(R.id.status);
        progress = findViewById(R.id.progress);
        findViewById(R.id.cancel).setOnClickListener(view -> {
            if (job() != null) {
                job().cancel();
            }
        });
    }

    /** Follows a job that was started. */
    protected final void follow(J started) {
        started.setListener(this);
        onJobChanged();
    }

    @Override
    protected void onStart() {
        super.onStart();
        if (job() != null) {
            follow(job());
        }
    }

    @Override
    protected void onStop() {
        if (job() != null) {
            job().setListener(null);
        }
        super.onStop();
    }

    @Override
    public final void onJobChanged() {
        J job = job();
        if (job == null) {
            return;
        }
        progress.setVisibility(job.isRunning() ? View.VISIBLE : View.INVISIBLE);
        progress.setIndeterminate(job.total() == 0);
        progress.setMax(Math.max(1, job.total()));
        progress.setProgress(job.done());
        visible(R.id.cancel, job.isRunning());
        show(job);
    }

    /** Shows a sentence. */
    protected final void say(String sentence) {
        status.setText(sentence);
    }

    /** Returns the sentence about a job that counts tiles and has not finished. */
    protected final String unfinished(ScreenJob job) {
        switch (job.state()) {
            case RUNNING:
                return job.total() == 0 ? getString(R.string.preparing)
                        : getString(R.string.tiles, Math.min(job.done() + 1, job.total()),
                                job.total());
            case CANCELLED:
                return getString(R.string.cancelled);
            default:
                return job.failure();
        }
    }

    /** Shows a view, or removes it from the layout. */
    protected final void visible(int view, boolean isVisible) {
        findViewById(view).setVisibility(isVisible ? View.VISIBLE : View.GONE);
    }
}
