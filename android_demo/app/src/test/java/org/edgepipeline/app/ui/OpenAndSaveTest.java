package org.edgepipeline.app.ui;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.Manifest;
import android.app.Activity;
import android.app.Application;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.media.ExifInterface;
import android.provider.MediaStore;
import android.view.TextureView;
import android.view.View;
import android.widget.TextView;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import org.edgepipeline.app.R;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.camera.Captures;
import org.edgepipeline.app.camera.RawCamera;
import org.edgepipeline.app.dng.PreviewDng;
import org.edgepipeline.app.work.DevelopJob;
import org.junit.After;
import org.junit.Before;
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

/** Opens captures from the file picker and the camera, and saves pictures in the gallery. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h731dp-port-420dpi")
public final class OpenAndSaveTest {
    @Rule public TemporaryFolder folder = new TemporaryFolder();

    @Before
    public void serve() {
        FakeFiles.serve(folder.getRoot());
    }

    @After
    public void forget() {
        DevelopJob.forget();
        CameraActivity.cameras = org.edgepipeline.app.camera.PhoneCamera::new;
    }

    private static String status(Activity screen) {
        return ((TextView) screen.findViewById(R.id.status)).getText().toString();
    }

    private static DevelopActivity chosen(String file) throws Exception {
        DevelopActivity screen = Robolectric.buildActivity(DevelopActivity.class).setup().get();
        screen.findViewById(R.id.open).performClick();
        Intent asked = shadowOf(screen).getNextStartedActivityForResult().intent;
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.getAction());
        shadowOf(screen).receiveResult(asked, Activity.RESULT_OK,
                new Intent().setData(FakeFiles.place(file)));
        Screens.runUntil(() -> DevelopJob.current().state() != DevelopJob.State.RUNNING);
        return screen;
    }

    private static int[] pixels(Bitmap bitmap) {
        int[] pixels = new int[320 * 240];
        bitmap.getPixels(pixels, 0, 320, 0, 0, 320, 240);
        return pixels;
    }

    /** Writes a capture with the camera's JPEG, which is darker than the developed picture. */
    private void writeCapture(String name) throws Exception {
        Bitmap picture = BitmapFactory.decodeFile(
                Golden.fixture("chart_default.png").getPath()).copy(
                        Bitmap.Config.ARGB_8888, true);
        int[] pixels = pixels(picture);
        for (int i = 0; i < pixels.length; i++) {
            pixels[i] = pixels[i] >> 1 & 0x7F7F7F | 0xFF000000;
        }
        picture.setPixels(pixels, 0, 320, 0, 0, 320, 240);
        ByteArrayOutputStream jpeg = new ByteArrayOutputStream();
        picture.compress(Bitmap.CompressFormat.JPEG, 90, jpeg);
        byte[] dng = Files.readAllBytes(Golden.fixture("chart.dng").toPath());
        Files.write(new File(folder.getRoot(), name).toPath(),
                PreviewDng.of(dng, jpeg.toByteArray()));
    }

    @Test(timeout = 120_000)
    public void aChosenCaptureIsComparedWithTheCamerasPictureAndSaved() throws Exception {
        writeCapture("IMG_1.dng");
        DevelopActivity screen = chosen("IMG_1.dng");
        assertTrue(status(screen), status(screen).startsWith("320 × 240 pixels in "));
        assertTrue(status(screen), status(screen).endsWith(" s\nRepaired pixels: 8"));
        TextView before = screen.findViewById(R.id.before);
        assertEquals("Camera", before.getText().toString());
        Screens.save(screen, "opened-large-light");
        File saved = new File(folder.getRoot(), "1");
        Files.write(saved.toPath(), new byte[0]);
        assertEquals(View.VISIBLE, screen.findViewById(R.id.save).getVisibility());
        screen.findViewById(R.id.save).performClick();
        assertFalse(screen.findViewById(R.id.save).isEnabled());
        Screens.runUntil(() -> !DevelopJob.current().isSaving());
        assertEquals("Saved as IMG_1.jpg in Pictures/Edge Pipeline.", status(screen));
        Screens.save(screen, "saved-large-light");
        assertEquals("IMG_1.jpg", FakeFiles.ROWS.get(1L).get(
                MediaStore.MediaColumns.DISPLAY_NAME));
        assertEquals(0, (int) FakeFiles.ROWS.get(1L).getAsInteger(
                MediaStore.MediaColumns.IS_PENDING));
        checkJpeg(saved);
    }

    private static void checkJpeg(File saved) throws Exception {
        ExifInterface exif = new ExifInterface(saved.getPath());
        assertEquals("Edge", exif.getAttribute(ExifInterface.TAG_MAKE));
        assertEquals("200", exif.getAttribute(ExifInterface.TAG_ISO_SPEED_RATINGS));
        assertEquals(0.008, exif.getAttributeDouble(ExifInterface.TAG_EXPOSURE_TIME, 0), 1e-9);
        assertEquals(1.8, exif.getAttributeDouble(ExifInterface.TAG_F_NUMBER, 0), 1e-9);
        assertEquals("2026:11:23 03:00:00",
                exif.getAttribute(ExifInterface.TAG_DATETIME_ORIGINAL));
        assertEquals(1, exif.getAttributeInt(ExifInterface.TAG_ORIENTATION, 0));
        byte[] content = Files.readAllBytes(saved.toPath());
        String text = new String(content, StandardCharsets.ISO_8859_1);
        int at = text.indexOf("ICC_PROFILE\0\1\1") + 14;
        assertEquals("one profile", -1, text.indexOf("ICC_PROFILE", at));
        byte[] profile = Files.readAllBytes(Golden.repository(
                "android_demo/app/src/main/res/raw/srgb.icc").toPath());
        assertArrayEquals(profile, java.util.Arrays.copyOfRange(
                content, at, at + profile.length));
        int[] picture = pixels(BitmapFactory.decodeFile(saved.getPath()));
        int[] expected = pixels(BitmapFactory.decodeFile(
                Golden.fixture("chart_default.png").getPath()));
        long difference = 0;
        for (int i = 0; i < 320 * 240; i++) {
            difference += Math.abs((picture[i] >> 8 & 0xFF) - (expected[i] >> 8 & 0xFF));
        }
        assertTrue("" + difference, difference < 320 * 240 * 3);
    }

    /** Before Android 10, the person chooses the place. */
    @Test(timeout = 120_000)
    public void thePictureIsSavedAtAChosenPlace() throws Exception {
        writeCapture("IMG_3.dng");
        DevelopActivity screen = chosen("IMG_3.dng");
        File saved = new File(folder.getRoot(), "there.jpg");
        Files.write(saved.toPath(), new byte[0]);
        screen.onActivityResult(DevelopActivity.SAVE, Activity.RESULT_OK,
                new Intent().setData(FakeFiles.place("there.jpg")));
        Screens.runUntil(() -> !DevelopJob.current().isSaving());
        assertEquals("Saved as there.jpg.", status(screen));
        checkJpeg(saved);
    }

    @Test(timeout = 120_000)
    public void aFullGalleryIsASentenceAndNothingIsLeft() throws Exception {
        writeCapture("IMG_2.dng");
        DevelopActivity screen = chosen("IMG_2.dng");
        FakeFiles.isFull = true;
        screen.findViewById(R.id.save).performClick();
        Screens.runUntil(() -> !DevelopJob.current().isSaving());
        assertEquals("The gallery cannot store IMG_2.jpg; free some storage and try again.",
                status(screen));
        assertTrue(FakeFiles.ROWS.isEmpty());
        assertFalse(new File(screen.getCacheDir(), "saved.jpg").exists());
    }

    @Test(timeout = 60_000)
    public void aFileThatIsNoCaptureIsASentence() throws Exception {
        Files.write(new File(folder.getRoot(), "notes.txt").toPath(), new byte[100]);
        DevelopActivity screen = chosen("notes.txt");
        assertEquals("notes.txt is not a DNG file; give the camera's own DNG.", status(screen));
        Screens.save(screen, "no-capture-large-light");
        assertEquals("missing.dng cannot be read; choose it again.",
                status(chosen("missing.dng")));
    }

    /** A camera that yields a synthetic capture. */
    private static final class FakeCamera implements RawCamera {
        private Listener listener;
        private boolean isClosed;

        @Override
        public void open(TextureView view, Listener told) {
            listener = told;
            told.onReady(320, 240);
        }

        @Override
        public void capture() {
            try {
                byte[] dng = Files.readAllBytes(Golden.fixture("bright.dng").toPath());
                Application context = RuntimeEnvironment.getApplication();
                listener.onCaptured(Captures.store(context, stream -> stream.write(dng)));
            } catch (java.io.IOException error) {
                throw new AssertionError(error);
            }
        }

        @Override
        public void close() {
            isClosed = true;
        }
    }

    @Test(timeout = 120_000)
    public void theCameraIsExplainedAllowedAndCaptures() throws Exception {
        FakeCamera camera = new FakeCamera();
        CameraActivity.cameras = context -> camera;
        ActivityController<CameraActivity> shown =
                Robolectric.buildActivity(CameraActivity.class).setup();
        CameraActivity screen = shown.get();
        assertTrue(status(screen), status(screen).startsWith("The app captures RAW pictures"));
        assertEquals(View.VISIBLE, screen.findViewById(R.id.allow).getVisibility());
        Screens.save(screen, "camera-reason-large-light");
        screen.findViewById(R.id.allow).performClick();
        String[] asked = {Manifest.permission.CAMERA};
        assertArrayEquals(asked, shadowOf(screen).getLastRequestedPermission()
                .requestedPermissions);
        screen.onRequestPermissionsResult(1, asked, new int[] {PackageManager.PERMISSION_DENIED});
        assertTrue(status(screen), status(screen).startsWith("The camera is not allowed."));
        shadowOf(RuntimeEnvironment.getApplication()).grantPermissions(asked);
        screen.onRequestPermissionsResult(
                1, asked, new int[] {PackageManager.PERMISSION_GRANTED});
        assertEquals("RAW, 320 × 240 pixels", status(screen));
        Screens.save(screen, "camera-ready-large-light");
        screen.findViewById(R.id.capture).performClick();
        assertTrue(screen.isFinishing());
        Intent result = shadowOf(screen).getResultIntent();
        shown.pause().stop();
        assertTrue(camera.isClosed);

        DevelopActivity develop = Robolectric.buildActivity(DevelopActivity.class).setup().get();
        develop.findViewById(R.id.camera).performClick();
        Intent started = shadowOf(develop).getNextStartedActivityForResult().intent;
        assertEquals(CameraActivity.class.getName(), started.getComponent().getClassName());
        shadowOf(develop).receiveResult(started, Activity.RESULT_OK, result);
        Screens.runUntil(() -> DevelopJob.current().state() != DevelopJob.State.RUNNING);
        assertTrue(status(develop), status(develop).startsWith("240 × 320 pixels in "));
        assertTrue(DevelopJob.current().pictureName().startsWith("RAW_"));
    }

    @Test
    @Config(qualifiers = "w320dp-h480dp-port-night-hdpi")
    public void theCameraFitsASmallPhone() throws Exception {
        Screens.save(Robolectric.buildActivity(CameraActivity.class).setup().get(),
                "camera-reason-small-dark");
        Screens.save(Robolectric.buildActivity(DevelopActivity.class).setup().get(),
                "start-small-dark");
    }
}
