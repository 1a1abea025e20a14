package org.edgepipeline.app.bench;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.Color;
import android.view.View;
import android.view.ViewGroup;
import android.widget.Spinner;
import android.widget.TextView;
import java.io.File;
import java.nio.file.Files;
import org.edgepipeline.app.R;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.ui.BenchScreens;
import org.edgepipeline.app.ui.DevelopActivity;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.Shadows;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.shadows.ShadowPopupMenu;

/** Measures on the screen with a real program, and looks at it. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h731dp-port-420dpi")
public final class BenchActivityTest {
    private File copied;

    @Before
    public void copy() throws Exception {
        copied = new File(RuntimeEnvironment.getApplication().getExternalFilesDir("artifacts"),
                "nuclei");
        copied.mkdirs();
        for (File file : Golden.repository("calibration/pretrained/phi_unet_nuclei/artifact")
                .listFiles()) {
            Files.copy(file.toPath(), new File(copied, file.getName()).toPath());
        }
    }

    @After
    public void forget() {
        BenchJob.forget();
    }

    /** Opens the screen with a short plan, and chooses the copied artifact. */
    private static ActivityController<BenchActivity> opened() {
        Intent intent = new Intent().putExtra("runs", 30).putExtra("seconds", "0")
                .putExtra("warmup", 0);
        ActivityController<BenchActivity> screen =
                Robolectric.buildActivity(BenchActivity.class, intent).setup();
        Spinner artifact = screen.get().findViewById(R.id.bench_artifact);
        for (int i = 0; i < artifact.getCount(); i++) {
            if (artifact.getItemAtPosition(i).equals("nuclei")) {
                artifact.setSelection(i);
            }
        }
        assertEquals("nuclei", artifact.getSelectedItem());
        return screen;
    }

    private static String text(View root, int view) {
        return ((TextView) root.findViewById(view)).getText().toString();
    }

    private static String status(ActivityController<BenchActivity> screen) {
        return text(screen.get().getWindow().getDecorView(), R.id.status);
    }

    private static void measure(ActivityController<BenchActivity> screen) throws Exception {
        screen.get().findViewById(R.id.bench_start).performClick();
        BenchScreens.runUntil(() -> BenchJob.current().state() != BenchJob.State.RUNNING);
    }

    @Test(timeout = 120_000)
    public void anArtifactIsMeasuredAndShown() throws Exception {
        ActivityController<BenchActivity> screen = opened();
        BenchScreens.save(screen.get(), "bench-start-large-light");
        measure(screen);
        assertTrue(status(screen), status(screen).startsWith("Finished. Thermal status: none."));
        ViewGroup results = screen.get().findViewById(R.id.bench_results);
        assertEquals(1, results.getChildCount());
        assertEquals("nuclei:forward", text(results, R.id.bench_title));
        assertTrue(text(results, R.id.bench_median).matches("[1-9]\\d*\\.\\d\\d ms"));
        assertTrue(text(results, R.id.bench_percentiles).endsWith("over 30 runs"));
        assertTrue(text(results, R.id.bench_correct).startsWith("Outputs correct: "));
        for (String mode : new String[] {"light", "dark"}) {
            String night = mode.equals("dark") ? "night" : "notnight";
            RuntimeEnvironment.setQualifiers("w411dp-h731dp-port-" + night + "-420dpi");
            Bitmap large = BenchScreens.save(reopened(), "bench-finished-large-" + mode);
            assertEquals(mode.equals("light"), Color.green(
                    large.getPixel(4, large.getHeight() - 4)) > 128);
            RuntimeEnvironment.setQualifiers("w320dp-h480dp-port-" + night + "-hdpi");
            BenchScreens.save(reopened(), "bench-finished-small-" + mode);
        }
    }

    private static BenchActivity reopened() {
        return opened().get();
    }

    @Test(timeout = 120_000)
    public void rotationKeepsTheWorkAndCancellingEndsIt() throws Exception {
        Intent intent = new Intent().putExtra("runs", 1_000_000)
                .putExtra("warmup", "0");
        ActivityController<BenchActivity> screen =
                Robolectric.buildActivity(BenchActivity.class, intent).setup();
        Spinner artifact = screen.get().findViewById(R.id.bench_artifact);
        artifact.setSelection(artifact.getCount() - 1);
        screen.get().findViewById(R.id.bench_start).performClick();
        BenchScreens.runUntil(() -> BenchJob.current().step().startsWith("Run "));
        BenchScreens.save(screen.get(), "bench-running-large-light");
        BenchJob job = BenchJob.current();
        RuntimeEnvironment.setQualifiers("+land");
        screen.configurationChange(screen.get().getResources().getConfiguration());
        assertEquals(job, BenchJob.current());
        int done = job.done();
        BenchScreens.runUntil(() -> job.done() > done);
        assertTrue(status(screen), status(screen).startsWith("Run "));
        BenchScreens.save(screen.get(), "bench-running-landscape");
        screen.get().findViewById(R.id.cancel).performClick();
        BenchScreens.runUntil(() -> job.state() != BenchJob.State.RUNNING);
        assertEquals("Cancelled. There is no record.", status(screen));
        assertEquals(View.VISIBLE, screen.get().findViewById(R.id.bench_start).getVisibility());
    }

    @Test(timeout = 120_000)
    @Config(qualifiers = "w320dp-h480dp-port-night-hdpi")
    public void aDamagedArtifactIsASentence() throws Exception {
        Files.write(new File(copied, "forward.onnx").toPath(), new byte[4]);
        ActivityController<BenchActivity> screen = opened();
        measure(screen);
        assertTrue(status(screen), status(screen).startsWith(
                "nuclei/forward.onnx was changed after it was written: "));
        BenchScreens.save(screen.get(), "bench-damaged-small-dark");
    }

    @Test
    public void theMenuOfTheScreensOpensIt() {
        DevelopActivity first = Robolectric.buildActivity(DevelopActivity.class).setup().get();
        first.findViewById(R.id.more).performClick();
        ShadowPopupMenu.getLatestPopupMenu().getMenu()
                .performIdentifierAction(R.id.screen_benchmark, 0);
        Intent started = Shadows.shadowOf(first).getNextStartedActivity();
        assertEquals(BenchActivity.class.getName(), started.getComponent().getClassName());
    }
}
