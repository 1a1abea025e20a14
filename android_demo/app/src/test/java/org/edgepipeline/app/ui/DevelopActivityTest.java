package org.edgepipeline.app.ui;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.content.Intent;
import android.content.pm.PackageInfo;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.os.Bundle;
import android.view.View;
import android.widget.SeekBar;
import android.widget.TextView;
import java.io.File;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.util.Arrays;
import org.edgepipeline.app.R;
import org.edgepipeline.app.work.Bundled;
import org.edgepipeline.app.work.DevelopJob;
import org.junit.After;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.shadows.ShadowPopupMenu;

/** Runs the screen with the shipped network and its sample, and looks at its pixels. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h731dp-port-420dpi")
public final class DevelopActivityTest {
    @After
    public void forget() {
        DevelopJob.forget();
    }

    private static ActivityController<DevelopActivity> opened() {
        return Robolectric.buildActivity(DevelopActivity.class).setup();
    }

    private static String status(ActivityController<DevelopActivity> screen) {
        return ((TextView) screen.get().findViewById(R.id.status)).getText().toString();
    }

    private static int visibility(ActivityController<DevelopActivity> screen, int view) {
        return screen.get().findViewById(view).getVisibility();
    }

    @Test(timeout = 120_000)
    public void theSampleIsDevelopedAndShown() throws Exception {
        ActivityController<DevelopActivity> screen = opened();
        screen.get().findViewById(R.id.sample).performClick();
        assertEquals(View.VISIBLE, visibility(screen, R.id.cancel));
        Screens.runUntil(() -> DevelopJob.current().state() != DevelopJob.State.RUNNING);
        assertTrue(status(screen), status(screen).startsWith("1734 × 1156 pixels in "));
        assertEquals(View.VISIBLE, visibility(screen, R.id.comparison));
        assertEquals(View.GONE, visibility(screen, R.id.cancel));
        checkPatches(DevelopJob.current().after());
        saveEverySize();
    }

    /** Draws the finished screen for a small and a large phone, light and dark. */
    private static void saveEverySize() throws Exception {
        String[][] sizes = {
            {"small", "w320dp-h480dp-port-notnight-hdpi"},
            {"large", "w411dp-h731dp-port-notnight-420dpi"}
        };
        for (String[] size : sizes) {
            for (String mode : new String[] {"light", "dark"}) {
                String night = mode.equals("dark") ? "night" : "notnight";
                RuntimeEnvironment.setQualifiers(size[1].replace("notnight", night));
                Bitmap drawn = Screens.save(opened().get(), "developed-" + size[0] + "-" + mode);
                int corner = Color.green(drawn.getPixel(4, drawn.getHeight() - 4));
                assertEquals(mode, mode.equals("light"), corner > 128);
            }
        }
    }

    /** Checks the means of patches against those of `edge-pipeline develop`, to 4 of 255. */
    private static void checkPatches(Bitmap picture) {
        int[][] patches = { // x, y, red, green, blue
            {926, 717, 117, 20, 12}, {704, 817, 9, 8, 35}, {1033, 820, 148, 91, 0},
            {701, 926, 162, 104, 76},
        };
        for (int[] patch : patches) {
            int[] sums = new int[3];
            int[] pixels = new int[17 * 17];
            picture.getPixels(pixels, 0, 17, patch[0] - 8, patch[1] - 8, 17, 17);
            for (int pixel : pixels) {
                sums[0] += Color.red(pixel);
                sums[1] += Color.green(pixel);
                sums[2] += Color.blue(pixel);
            }
            for (int colour = 0; colour < 3; colour++) {
                assertEquals("patch at " + patch[0] + ", " + patch[1], patch[2 + colour],
                        (double) sums[colour] / pixels.length, 4);
            }
        }
        for (int y = 0; y < picture.getHeight(); y += 16) {
            for (int x = 0; x < picture.getWidth(); x += 16) {
                assertEquals("transparent pixel", 255, Color.alpha(picture.getPixel(x, y)));
            }
        }
    }

    @Test(timeout = 120_000)
    public void rotationKeepsTheWork() throws Exception {
        ActivityController<DevelopActivity> screen = opened();
        screen.get().findViewById(R.id.sample).performClick();
        Screens.runUntil(() -> DevelopJob.current().done() >= 2);
        Screens.save(screen.get(), "developing-large-light");
        DevelopJob job = DevelopJob.current();
        RuntimeEnvironment.setQualifiers("+land");
        screen.configurationChange(screen.get().getResources().getConfiguration());
        assertEquals(job, DevelopJob.current());
        Screens.save(screen.get(), "developing-landscape");
        Screens.runUntil(() -> !job.isRunning()); // the new screen follows it to its end
        assertTrue(status(screen), status(screen).startsWith("1734 × 1156 pixels in "));
        assertNotNull(job.after());
    }

    @Test(timeout = 120_000)
    public void theDeathOfTheProcessBeginsTheWorkAgain() {
        ActivityController<DevelopActivity> screen = opened();
        screen.get().findViewById(R.id.sample).performClick();
        ((SeekBar) screen.get().findViewById(R.id.split)).setProgress(250);
        Bundle saved = new Bundle();
        screen.pause().stop().saveInstanceState(saved).destroy();
        DevelopJob.forget();
        ActivityController<DevelopActivity> again =
                Robolectric.buildActivity(DevelopActivity.class).setup(saved);
        assertNotNull(DevelopJob.current());
        assertEquals(View.VISIBLE, visibility(again, R.id.cancel));
        assertEquals(250, ((SeekBar) again.get().findViewById(R.id.split)).getProgress());
    }

    @Test(timeout = 120_000)
    @Config(qualifiers = "w320dp-h480dp-port-night-hdpi")
    public void cancellingEndsTheWork() throws Exception {
        ActivityController<DevelopActivity> screen = opened();
        Screens.save(screen.get(), "start-small-dark");
        screen.get().findViewById(R.id.sample).performClick();
        Screens.runUntil(() -> DevelopJob.current().done() >= 1);
        Screens.save(screen.get(), "developing-small-dark");
        screen.get().findViewById(R.id.cancel).performClick();
        Screens.runUntil(() -> DevelopJob.current().state() != DevelopJob.State.RUNNING);
        assertEquals("Cancelled. Nothing was changed.", status(screen));
        assertEquals(View.VISIBLE, visibility(screen, R.id.sample));
    }

    @Test(timeout = 120_000)
    public void aDamagedArtifactIsCopiedAgain() throws Exception {
        File folder = new Bundled(RuntimeEnvironment.getApplication()).artifact(Bundled.DEVELOPER);
        try (RandomAccessFile file = new RandomAccessFile(new File(folder, "forward.onnx"), "rw")) {
            file.seek(1000);
            file.write(~file.read());
        }
        byte[] damaged = Files.readAllBytes(new File(folder, "forward.onnx").toPath());
        ActivityController<DevelopActivity> screen = opened();
        screen.get().findViewById(R.id.sample).performClick();
        Screens.runUntil(() -> DevelopJob.current().done() >= 1
                || DevelopJob.current().state() != DevelopJob.State.RUNNING);
        assertEquals(DevelopJob.current().failure(), DevelopJob.State.RUNNING,
                DevelopJob.current().state());
        byte[] whole = Files.readAllBytes(new File(folder, "forward.onnx").toPath());
        assertFalse(Arrays.equals(damaged, whole));
    }

    @Test
    public void zoomStaysInsideThePicture() {
        PictureView view = opened().get().findViewById(R.id.picture);
        view.setPictures(null, Bitmap.createBitmap(400, 300, Bitmap.Config.ARGB_8888));
        view.draw(new Canvas(Bitmap.createBitmap(100, 100, Bitmap.Config.ARGB_8888)));
        assertEquals(1, view.zoom(), 0);
        view.zoomBy(4);
        view.moveBy(1e6f, -1e6f);
        assertEquals(4, view.zoom(), 0);
        assertEquals(0.875, view.centreX(), 1e-6);
        assertEquals(0.125, view.centreY(), 1e-6);
        view.zoomBy(0.01f);
        assertEquals(1, view.zoom(), 0);
        assertEquals(0.5, view.centreX(), 1e-6);
    }

    @Test
    public void nothingRunsBeforeThePersonAsks() throws Exception {
        ActivityController<DevelopActivity> screen = opened();
        Screens.save(screen.get(), "start-large-light");
        assertNull(DevelopJob.current());
        assertEquals("Develop a RAW capture on this phone.", status(screen));
        assertFalse(visibility(screen, R.id.comparison) == View.VISIBLE);
    }

    @Test
    public void theMenuOpensTheOtherScreens() throws Exception {
        ActivityController<DevelopActivity> screen = opened();
        screen.get().findViewById(R.id.more).performClick();
        ShadowPopupMenu.getLatestPopupMenu().getMenu()
                .performIdentifierAction(R.id.screen_segment, 0);
        Intent next = shadowOf(screen.get()).getNextStartedActivity();
        assertEquals(SegmentActivity.class.getName(), next.getComponent().getClassName());
    }

    @Test
    public void theAppAsksForTheCameraOnly() throws Exception {
        PackageInfo info = RuntimeEnvironment.getApplication().getPackageManager()
                .getPackageInfo("org.edgepipeline.app", 4096);
        assertEquals("[android.permission.CAMERA]", Arrays.toString(info.requestedPermissions));
        assertEquals(35, info.applicationInfo.targetSdkVersion);
        assertEquals(26, info.applicationInfo.minSdkVersion);
    }
}
