package org.edgepipeline.app.bench;

import android.os.Bundle;
import android.text.format.Formatter;
import android.view.LayoutInflater;
import android.view.View;
import android.view.WindowManager;
import android.widget.ArrayAdapter;
import android.widget.LinearLayout;
import android.widget.Spinner;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.R;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.screen.JobActivity;

/** The screen that measures artifacts and shows their times, memory and correctness. */
public final class BenchActivity extends JobActivity<BenchJob> {
    private static final String ARTIFACT = "artifact";
    private static final String THREADS = "threads";

    private Spinner artifact;
    private Spinner threads;
    private LinearLayout results;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.bench);
        artifact = findViewById(R.id.bench_artifact);
        threads = findViewById(R.id.bench_threads);
        results = findViewById(R.id.bench_results);
        List<String> names = new ArrayList<>();
        names.add(getString(R.string.bench_all));
        names.addAll(new Places(this).names());
        fill(artifact, names);
        List<String> counts = new ArrayList<>();
        for (int i = 1; i <= Runtime.getRuntime().availableProcessors(); i++) {
            counts.add(getResources().getQuantityString(R.plurals.bench_threads, i, i));
        }
        fill(threads, counts);
        findViewById(R.id.bench_start).setOnClickListener(view -> start());
        findViewById(R.id.bench_back).setOnClickListener(view -> finish());
        if (saved != null) {
            artifact.setSelection(Math.min(saved.getInt(ARTIFACT), names.size() - 1));
            threads.setSelection(Math.min(saved.getInt(THREADS), counts.size() - 1));
        }
    }

    private void fill(Spinner spinner, List<String> items) {
        ArrayAdapter<String> adapter =
                new ArrayAdapter<>(this, android.R.layout.simple_spinner_item, items);
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
        spinner.setAdapter(adapter);
    }

    @Override
    protected BenchJob job() {
        return BenchJob.current();
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        state.putInt(ARTIFACT, artifact.getSelectedItemPosition());
        state.putInt(THREADS, threads.getSelectedItemPosition());
    }

    private void start() {
        int chosen = artifact.getSelectedItemPosition();
        List<String> names = chosen == 0 ? Collections.<String>emptyList()
                : Collections.singletonList((String) artifact.getSelectedItem());
        try {
            follow(BenchJob.start(this, names, new Request(getIntent().getExtras()).plan(),
                    threads.getSelectedItemPosition() + 1));
        } catch (AppException error) {
            say(error.getMessage());
        }
    }

    @Override
    protected void show(BenchJob job) {
        boolean isRunning = job.isRunning();
        visible(R.id.bench_start, !isRunning);
        artifact.setEnabled(!isRunning);
        threads.setEnabled(!isRunning);
        keepScreenOn(isRunning);
        results.removeAllViews();
        say(textOf(job));
        for (Measurement.Result result : job.results()) {
            add(result);
        }
    }

    /** A screen that turns off lowers the clock rates. */
    private void keepScreenOn(boolean isOn) {
        if (isOn) {
            getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        } else {
            getWindow().clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        }
    }

    private String textOf(BenchJob job) {
        switch (job.state()) {
            case RUNNING:
                return job.step().isEmpty()
                        ? getString(R.string.preparing) : job.step() + "…";
            case CANCELLED:
                return getString(R.string.bench_cancelled);
            case FAILED:
                return job.failure();
            default:
                return finished(job.after());
        }
    }

    private String finished(Readings after) {
        String thermal = after.statusText() == null
                ? getString(R.string.bench_unknown) : after.statusText();
        String battery = after.batteryPercent == null ? getString(R.string.bench_unknown)
                : getString(R.string.bench_percent, after.batteryPercent);
        return getString(R.string.bench_finished, thermal, battery);
    }

    private void add(Measurement.Result result) {
        View row = LayoutInflater.from(this).inflate(R.layout.bench_result, results, false);
        Map<?, ?> record = result.record;
        Map<?, ?> latency = (Map<?, ?>) record.get("latency");
        set(row, R.id.bench_title, result.job.label());
        set(row, R.id.bench_median, getString(R.string.bench_median, latency.get("median_ms")));
        set(row, R.id.bench_percentiles, getString(R.string.bench_percentiles,
                latency.get("p5_ms"), latency.get("p90_ms"), latency.get("p99_ms"),
                record.get("num_runs")));
        set(row, R.id.bench_start_times, getString(R.string.bench_start_times,
                record.get("init_ms"), record.get("first_inference_ms")));
        set(row, R.id.bench_memory, result.memory == null ? getString(R.string.bench_no_memory)
                : getString(R.string.bench_memory,
                        Formatter.formatShortFileSize(this, result.memory.addedBytes())));
        Comparison comparison = result.comparison;
        TextView correct = row.findViewById(R.id.bench_correct);
        if (comparison == null) {
            correct.setText(R.string.bench_not_checked);
        } else if (comparison.isPassed()) {
            correct.setText(getString(
                    R.string.bench_correct, comparison.maxAbs(), comparison.maxRel()));
        } else {
            correct.setText(getString(R.string.bench_wrong, comparison.complaint()));
            correct.setTextColor(getColor(R.color.bench_wrong));
        }
        results.addView(row);
    }

    private static void set(View row, int view, String text) {
        ((TextView) row.findViewById(view)).setText(text);
    }
}
