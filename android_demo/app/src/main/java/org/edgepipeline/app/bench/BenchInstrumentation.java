package org.edgepipeline.app.bench;

import android.app.Activity;
import android.app.Instrumentation;
import android.content.Context;
import android.os.Bundle;
import java.io.File;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import org.edgepipeline.app.errors.AppException;

/**
 * Measures without a screen.
 *
 * <p>`am instrument -w -e artifact NAME org.edgepipeline.app/.bench.BenchInstrumentation` measures
 * artifacts together and writes their records; `-e order ORDER` executes one order of the host (see
 * {@link Orders}). The result has `answer` or `records`, or the sentence `error`.
 */
public class BenchInstrumentation extends Instrumentation {
    /** Code of a result that has an error; a crash has the code 0. */
    static final int FAILED = 1;

    private static final long STATUS_NS = 1_000_000_000;

    private Bundle extras;
    private long told;

    @Override
    public void onCreate(Bundle arguments) {
        super.onCreate(arguments);
        extras = arguments;
        start();
    }

    @Override
    public void onStart() {
        super.onStart();
        Bundle result = new Bundle();
        int code = Activity.RESULT_OK;
        try {
            execute(new Request(extras), getTargetContext(), result);
        } catch (AppException error) {
            code = FAILED;
            result.putString("error", error.getMessage());
            result.putString(REPORT_KEY_STREAMRESULT, "\nerror: " + error.getMessage() + "\n");
        }
        finish(code, result);
    }

    private void execute(Request request, Context context, Bundle result) throws AppException {
        Places places = new Places(context);
        Phone phone = new AndroidPhone(context);
        Engines engines =
                new Engines(places.temporary(), request.threads(), request.text("delegate"));
        String order = request.text("order");
        if (order != null) {
            Map<String, Object> answer =
                    new Orders(request, phone, engines, places).answer(order);
            result.putString("answer", JsonText.of(answer));
            return;
        }
        String name = request.text("output") == null ? "instrumentation" : request.text("output");
        OutputFolder output = OutputFolder.of(places.measurements(), name);
        List<File> folders = places.folders(request.artifacts());
        List<Measurement.Result> results = new Measurement(phone, engines, output, this::tell)
                .run(folders, request.plan(), request.threads(), session());
        StringBuilder text = new StringBuilder("\n");
        for (Measurement.Result one : results) {
            text.append(line(one)).append('\n');
        }
        result.putString("records", output.file(Measurement.RECORDS).getPath());
        result.putString(REPORT_KEY_STREAMRESULT, text + "records: "
                + output.file(Measurement.RECORDS) + "\n");
    }

    /** Returns a new identifier of a measurement. */
    static String session() {
        return UUID.randomUUID().toString().replace("-", "");
    }

    private static String line(Measurement.Result result) {
        Map<?, ?> latency = (Map<?, ?>) result.record.get("latency");
        Comparison comparison = result.comparison;
        String checked = comparison == null ? "outputs not checked"
                : comparison.isPassed() ? "outputs correct" : "wrong outputs";
        return String.format(Locale.ROOT, "%s: median %.3f ms, p90 %.3f ms, %s",
                result.job.label(), latency.get("median_ms"), latency.get("p90_ms"), checked);
    }

    /** Reports progress to the shell, at most once a second. */
    private void tell(String sentence, int done, int total) {
        long now = System.nanoTime();
        if (told != 0 && now - told < STATUS_NS) {
            return;
        }
        told = now;
        Bundle status = new Bundle();
        status.putString("step", sentence);
        sendStatus(0, status);
    }
}
