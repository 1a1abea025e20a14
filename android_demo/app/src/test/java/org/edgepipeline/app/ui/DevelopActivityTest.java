package org.edgepipeline.app.ui;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import android.content.pm.PackageInfo;
import android.graphics.Bitmap;
import android.graphics.Color;
import android.os.Bundle;
import android.view.View;
import android.widget.SeekBar;
import android.widget.TextView;
import org.edgepipeline.app.R;
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
        Screens.save(screen.get(), "start");
        screen.get().findViewById(R.id.sample).performClick();
        assertEquals(View.VISIBLE, visibility(screen, R.id.cancel));
        Screens.runUntil(() -> DevelopJob.current().done() >= 6);
        Screens.save(screen.get(), "developing");
        Screens.runUntil(() -> DevelopJob.current().state() != DevelopJob.State.RUNNING);
        assertTrue(status(screen), status(screen).startsWith("1734 × 1156 pixels in "));
        assertEquals(View.VISIBLE, visibility(screen, R.id.comparison));
        assertEquals(View.GONE, visibility(screen, R.id.cancel));
        checkPatches(DevelopJob.current().after());
        Screens.save(screen.get(), "developed");
    }

    /** Checks colours of the chart that a mistake in colours or in orientation would change. */
    private static void checkPatches(Bitmap picture) {
        int red = 0;
        int blue = 0;
        int bright = 0;
        for (int y = 0; y < picture.getHeight(); y += 4) {
            for (int x = 0; x < picture.getWidth(); x += 4) {
                int pixel = picture.getPixel(x, y);
                assertEquals(255, Color.alpha(pixel));
                red += Color.red(pixel) > 2 * Color.blue(pixel) + 30 ? 1 : 0;
                blue += Color.blue(pixel) > 2 * Color.red(pixel) + 30 ? 1 : 0;
                bright += Color.green(pixel) > 180 ? 1 : 0;
            }
        }
        assertTrue("red " + red + ", blue " + blue + ", bright " + bright,
                red > 1000 && blue > 200 && bright > 500);
    }

    @Test(timeout = 120_000)
    public void rotationKeepsTheWork() throws Exception {
        ActivityController<DevelopActivity> screen = opened();
        screen.get().findViewById(R.id.sample).performClick();
        Screens.runUntil(() -> DevelopJob.current().done() >= 2);
        DevelopJob job = DevelopJob.current();
        RuntimeEnvironment.setQualifiers("+land");
        screen.configurationChange(screen.get().getResources().getConfiguration());
        assertEquals(job, DevelopJob.current());
        Screens.runUntil(() -> job.done() >= 4);
        assertTrue(status(screen), status(screen).startsWith("Tile "));
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
    public void cancellingEndsTheWork() throws Exception {
        ActivityController<DevelopActivity> screen = opened();
        screen.get().findViewById(R.id.sample).performClick();
        Screens.runUntil(() -> DevelopJob.current().done() >= 1);
        screen.get().findViewById(R.id.cancel).performClick();
        Screens.runUntil(() -> DevelopJob.current().state() != DevelopJob.State.RUNNING);
        assertEquals("Cancelled. Nothing was changed.", status(screen));
        assertEquals(View.VISIBLE, visibility(screen, R.id.sample));
    }

    @Test
    public void nothingRunsBeforeThePersonAsks() {
        ActivityController<DevelopActivity> screen = opened();
        assertNull(DevelopJob.current());
        assertEquals("Develop a RAW capture on this phone.", status(screen));
        assertFalse(visibility(screen, R.id.comparison) == View.VISIBLE);
    }

    @Test
    public void theAppAsksForNoPermission() throws Exception {
        PackageInfo info = RuntimeEnvironment.getApplication().getPackageManager()
                .getPackageInfo("org.edgepipeline.app", 4096);
        assertEquals(0, info.requestedPermissions == null ? 0 : info.requestedPermissions.length);
        assertEquals(35, info.applicationInfo.targetSdkVersion);
        assertEquals(26, info.applicationInfo.minSdkVersion);
    }
}
