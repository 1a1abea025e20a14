package org.edgepipeline.app.ui;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotSame;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.media.ExifInterface;
import android.net.Uri;
import android.os.Bundle;
import android.view.View;
import android.widget.SeekBar;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import org.edgepipeline.app.R;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.artifact.Phi;
import org.edgepipeline.app.artifact.Several;
import org.edgepipeline.app.work.SegmentJob;
import org.junit.After;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** Runs the screen that segments with the shipped network, and looks at its pixels. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h731dp-port-420dpi")
public final class SegmentActivityTest {
    @Rule public TemporaryFolder folder = new TemporaryFolder();

    @After
    public void forget() {
        SegmentJob.forget();
    }

    private static ActivityController<SegmentActivity> opened() {
        return Robolectric.buildActivity(SegmentActivity.class).setup();
    }

    private static String status(ActivityController<SegmentActivity> screen) {
        return ((TextView) screen.get().findViewById(R.id.status)).getText().toString();
    }

    private static SeekBar slider(ActivityController<SegmentActivity> screen) {
        return screen.get().findViewById(R.id.phi);
    }

    private static void runToEnd() throws Exception {
        Screens.runUntil(() -> SegmentJob.current().state() != SegmentJob.State.RUNNING);
    }

    private static ActivityController<SegmentActivity> segmented() throws Exception {
        ActivityController<SegmentActivity> screen = opened();
        screen.get().findViewById(R.id.sample).performClick();
        runToEnd();
        return screen;
    }

    @Test(timeout = 120_000)
    public void theMaskAndItsCostFollowPhi() throws Exception {
        Screens.save(opened().get(), "segment-start-large-light");
        ActivityController<SegmentActivity> screen = segmented();
        assertTrue(status(screen), status(screen).matches(
                "phi 0\\.300 · 198 M MACs a tile · \\d+\\u00A0ms\nnucleus: \\d+\\.\\d %"));
        assertEquals(200, slider(screen).getProgress());
        assertEquals(500, slider(screen).getMax());
        Bitmap first = SegmentJob.current().result().overlay;
        assertFalse(first.sameAs(SegmentJob.current().picture()));
        slider(screen).setProgress(50);
        assertEquals(SegmentJob.State.RUNNING, SegmentJob.current().state());
        runToEnd();
        assertTrue(status(screen), status(screen).startsWith("phi 0.150 · 136 M MACs a tile · "));
        assertFalse(first.sameAs(SegmentJob.current().result().overlay));
        slider(screen).setProgress(500);
        runToEnd();
        assertTrue(status(screen), status(screen).startsWith("phi 0.600 · 650 M MACs a tile · "));
        saveEverySize();
    }

    private static void saveEverySize() throws Exception {
        String[] sizes = {"small-w320dp-h480dp-port-notnight-hdpi",
            "large-w411dp-h731dp-port-notnight-420dpi"};
        for (String size : sizes) {
            for (String mode : new String[] {"light", "dark"}) {
                String name = size.substring(0, 5);
                RuntimeEnvironment.setQualifiers(size.substring(6)
                        .replace("notnight", mode.equals("dark") ? "night" : "notnight"));
                Screens.save(opened().get(), "segmented-" + name + "-" + mode);
            }
        }
    }

    @Test(timeout = 120_000)
    public void aMovingSliderCausesOneRun() throws Exception {
        ActivityController<SegmentActivity> screen = segmented();
        SegmentJob.Result before = SegmentJob.current().result();
        int[] results = {0};
        SegmentJob.Result[] last = {before};
        SegmentJob.current().setListener(() -> {
            if (SegmentJob.current().result() != last[0]) {
                last[0] = SegmentJob.current().result();
                results[0]++;
            }
        });
        for (int value = 0; value < 150; value += 5) {
            slider(screen).setProgress(value);
        }
        runToEnd();
        assertEquals(1, results[0]);
        assertEquals(0.245, SegmentJob.current().result().phi, 0);
        SegmentJob.current().setPhi(0.245);
        assertEquals(SegmentJob.State.FINISHED, SegmentJob.current().state());
    }

    @Test(timeout = 120_000)
    public void cancellingKeepsTheLastMask() throws Exception {
        ActivityController<SegmentActivity> screen = segmented();
        SegmentJob.Result before = SegmentJob.current().result();
        slider(screen).setProgress(400);
        assertEquals(View.VISIBLE, screen.get().findViewById(R.id.cancel).getVisibility());
        screen.get().findViewById(R.id.cancel).performClick();
        assertEquals("Cancelled. Nothing was changed.", status(screen));
        Thread.sleep(300);
        shadowOf(android.os.Looper.getMainLooper()).idle();
        assertSame(before, SegmentJob.current().result());
        assertEquals(View.GONE, screen.get().findViewById(R.id.cancel).getVisibility());
    }

    @Test(timeout = 120_000)
    public void rotationAndTheDeathOfTheProcessKeepPhi() throws Exception {
        ActivityController<SegmentActivity> screen = segmented();
        slider(screen).setProgress(50);
        runToEnd();
        SegmentJob job = SegmentJob.current();
        RuntimeEnvironment.setQualifiers("+land");
        screen.configurationChange(screen.get().getResources().getConfiguration());
        assertSame(job, SegmentJob.current());
        assertEquals(50, slider(screen).getProgress());
        Screens.save(screen.get(), "segmented-landscape");
        Bundle saved = new Bundle();
        screen.pause().stop().saveInstanceState(saved).destroy();
        SegmentJob.forget();
        ActivityController<SegmentActivity> again =
                Robolectric.buildActivity(SegmentActivity.class).setup(saved);
        assertNotSame(job, SegmentJob.current());
        runToEnd();
        assertEquals(0.15, SegmentJob.current().result().phi, 0);
        assertEquals(50, slider(again).getProgress());
    }

    private static void choose(ActivityController<SegmentActivity> screen, String file) {
        screen.get().findViewById(R.id.open).performClick();
        Intent asked = shadowOf(screen.get()).getNextStartedActivityForResult().intent;
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.getAction());
        assertEquals("image/*", asked.getType());
        Uri place = FakeFiles.place(file);
        shadowOf(screen.get()).receiveResult(
                asked, Activity.RESULT_OK, new Intent().setData(place));
    }

    @Test(timeout = 120_000)
    public void aChosenPictureIsUprightAndSegmented() throws Exception {
        FakeFiles.serve(folder.getRoot());
        File file = new File(folder.getRoot(), "turned.jpg");
        Bitmap picture = BitmapFactory.decodeFile(
                Golden.fixture("segment/picture.png").getPath());
        try (OutputStream stream = new FileOutputStream(file)) {
            picture.compress(Bitmap.CompressFormat.JPEG, 95, stream);
        }
        ExifInterface exif = new ExifInterface(file.getPath());
        exif.setAttribute(ExifInterface.TAG_ORIENTATION, "6");
        exif.saveAttributes();
        ActivityController<SegmentActivity> screen = opened();
        choose(screen, "turned.jpg");
        runToEnd();
        assertTrue(status(screen), status(screen).startsWith("phi 0.300"));
        assertEquals(300, SegmentJob.current().picture().getWidth());
        assertEquals(400, SegmentJob.current().picture().getHeight());
        int corner = SegmentJob.current().picture().getPixel(299, 0);
        assertTrue(Math.abs((corner & 0xFF) - (picture.getPixel(0, 0) & 0xFF)) < 16);
    }

    @Test(timeout = 120_000)
    public void aFileThatIsNoPictureIsASentence() throws Exception {
        FakeFiles.serve(folder.getRoot());
        Files.write(new File(folder.getRoot(), "notes.txt").toPath(), new byte[] {1, 2, 3});
        ActivityController<SegmentActivity> screen = opened();
        choose(screen, "notes.txt");
        runToEnd();
        assertEquals("notes.txt is not a picture that this phone can decode; choose a JPEG or"
                + " PNG.", status(screen));
        Screens.save(screen.get(), "segment-failed-large-light");
        choose(screen, "missing.jpg");
        runToEnd();
        assertEquals("missing.jpg cannot be read; choose it again.", status(screen));
    }

    @Test
    public void theScreenSaysWhichValuesTheSliderHas() throws Exception {
        SegmentActivity screen = opened().get();
        TextView values = screen.findViewById(R.id.phi_values);
        double[] chosen = {0};
        PhiSlider own = new PhiSlider(screen, value -> chosen[0] = value);
        own.show(Phi.of(Several.of(folder.getRoot())), 0.15);
        assertEquals("Programs for 2 values of phi: 0.15, 0.30. The slider moves to the nearest.",
                values.getText().toString());
        assertEquals(View.VISIBLE, values.getVisibility());
        Screens.save(screen, "segment-values-large-light");
        ((SeekBar) screen.findViewById(R.id.phi)).setProgress(100);
        assertEquals(0.25, chosen[0], 0);
        own.show(Phi.of(Artifact.open(Golden.repository(
                "calibration/pretrained/phi_unet_nuclei/artifact"))), 0.3);
        assertEquals("Any phi from 0.10 to 0.60.", values.getText().toString());
        own.show(Phi.of(Artifact.open(Golden.isp())), Double.NaN);
        assertEquals(View.GONE, values.getVisibility());
    }
}
