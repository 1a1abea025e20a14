package org.edgepipeline.app.ui;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.Manifest;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Color;
import android.view.View;
import android.widget.SeekBar;
import android.widget.TextView;
import java.nio.ByteBuffer;
import org.edgepipeline.app.R;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.camera.FrameCamera;
import org.edgepipeline.app.camera.PhoneFrames;
import org.edgepipeline.app.segment.YuvFrame;
import org.edgepipeline.app.work.LiveSession;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** Segments the frames of a camera that a test gives, and looks at the screen. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h731dp-port-420dpi")
public final class LiveActivityTest {
    private final FakeFrames camera = new FakeFrames();

    /** A camera whose frames are a picture of nuclei, as its sensor is turned by 90 degrees. */
    private static final class FakeFrames implements FrameCamera {
        private Listener listener;
        private int openings;
        private int rotation;
        private boolean isOpen;

        @Override
        public void open(int screenRotation, Listener told) {
            listener = told;
            rotation = screenRotation;
            isOpen = true;
            openings++;
        }

        @Override
        public void close() {
            isOpen = false;
        }

        /** Gives frames on a thread of its own, as a camera does. */
        void send(int count) throws InterruptedException {
            YuvFrame frame = frame();
            Thread thread = new Thread(() -> {
                for (int i = 0; i < count; i++) {
                    listener.onFrame(frame);
                }
            });
            thread.start();
            thread.join();
        }

        private static YuvFrame frame() {
            Bitmap picture = BitmapFactory.decodeFile(
                    Golden.fixture("segment/picture.png").getPath());
            int wide = picture.getHeight(); // turned to the left
            int high = picture.getWidth();
            ByteBuffer y = ByteBuffer.allocateDirect(wide * high);
            ByteBuffer uv = ByteBuffer.allocateDirect(wide * high / 2);
            for (int row = 0; row < high; row++) {
                for (int column = 0; column < wide; column++) {
                    int pixel = picture.getPixel(high - 1 - row, column);
                    float r = Color.red(pixel);
                    float g = Color.green(pixel);
                    float b = Color.blue(pixel);
                    y.put(row * wide + column, (byte) Math.round(
                            0.299f * r + 0.587f * g + 0.114f * b));
                    if (row % 2 == 0 && column % 2 == 0) {
                        int at = row / 2 * wide + column;
                        uv.put(at, (byte) Math.round(
                                128 - 0.168736f * r - 0.331264f * g + 0.5f * b));
                        uv.put(at + 1, (byte) Math.round(
                                128 + 0.5f * r - 0.418688f * g - 0.081312f * b));
                    }
                }
            }
            ByteBuffer v = uv.duplicate();
            v.position(1);
            return new YuvFrame(wide, high, 90, new YuvFrame.Plane(y, wide, 1),
                    new YuvFrame.Plane(uv, wide, 2), new YuvFrame.Plane(v.slice(), wide, 2));
        }
    }

    @Before
    public void prepare() {
        LiveActivity.cameras = context -> camera;
    }

    @After
    public void restore() {
        LiveActivity.cameras = PhoneFrames::new;
    }

    private static void allow() {
        shadowOf(RuntimeEnvironment.getApplication())
                .grantPermissions(Manifest.permission.CAMERA);
    }

    private static ActivityController<LiveActivity> opened() {
        return Robolectric.buildActivity(LiveActivity.class).setup();
    }

    private static String status(ActivityController<LiveActivity> screen) {
        return ((TextView) screen.get().findViewById(R.id.status)).getText().toString();
    }

    /** Sends a frame when the network is idle, and waits for its result. */
    private void segmentOne(ActivityController<LiveActivity> screen) throws Exception {
        LiveSession session = screen.get().session();
        int before = session.segmented();
        Screens.runUntil(() -> {
            try {
                camera.send(1);
            } catch (InterruptedException error) {
                throw new AssertionError(error);
            }
            return session.segmented() > before;
        });
    }

    @Test(timeout = 120_000)
    public void theViewIsShownWithItsMask() throws Exception {
        allow();
        ActivityController<LiveActivity> screen = opened();
        assertEquals("Starting the camera…", status(screen));
        segmentOne(screen);
        assertTrue(status(screen), status(screen).matches("phi 0\\.300 · 198 M MACs a tile · \\d+"
                + "\\u00A0ms\\nnucleus: \\d+\\.\\d %\\n1 of \\d+ frames segmented"));
        Bitmap drawn = Screens.save(screen.get(), "live-large-light");
        View view = screen.get().findViewById(R.id.view);
        int[] place = new int[2];
        view.getLocationInWindow(place);
        checkColours(drawn, place, view);
        for (String size : new String[] {"w320dp-h480dp-port-notnight-hdpi",
            "w411dp-h731dp-port-night-420dpi", "w731dp-h411dp-land-notnight-420dpi"}) {
            screen.pause().stop().destroy();
            RuntimeEnvironment.setQualifiers(size);
            screen = opened();
            segmentOne(screen);
            Screens.save(screen.get(), size.contains("land") ? "live-landscape"
                    : size.startsWith("w320") ? "live-small-light" : "live-large-dark");
        }
    }

    /** Checks that the view shows the upright picture, in its shape, and labels over it. */
    private static void checkColours(Bitmap drawn, int[] place, View view) {
        Bitmap picture = BitmapFactory.decodeFile(
                Golden.fixture("segment/picture.png").getPath());
        Bitmap mask = BitmapFactory.decodeFile(
                Golden.fixture("segment/labels_0.352.png").getPath());
        float scale = Math.min((float) view.getWidth() / picture.getWidth(),
                (float) view.getHeight() / picture.getHeight());
        float left = place[0] + (view.getWidth() - scale * picture.getWidth()) / 2;
        float top = place[1] + (view.getHeight() - scale * picture.getHeight()) / 2;
        double[] sums = new double[2]; // mean difference of the green channel by label
        int[] counts = new int[2];
        for (int y = 8; y < picture.getHeight() - 8; y += 3) {
            for (int x = 8; x < picture.getWidth() - 8; x += 3) {
                int own = Color.green(picture.getPixel(x, y));
                int seen = Color.green(drawn.getPixel((int) (left + scale * (x + 0.5f)),
                        (int) (top + scale * (y + 0.5f))));
                int label = Color.blue(mask.getPixel(x, y)) > 0 ? 1 : 0;
                sums[label] += Math.abs(seen - own);
                counts[label]++;
            }
        }
        double outside = sums[0] / counts[0];
        double inside = sums[1] / counts[1];
        assertTrue("background changed by " + outside, outside < 12);
        assertTrue("labels changed the view by " + inside + " only", inside > outside + 15);
    }

    @Test(timeout = 120_000)
    public void framesAreDroppedWhileTheNetworkWorks() throws Exception {
        allow();
        ActivityController<LiveActivity> screen = opened();
        LiveSession session = screen.get().session();
        camera.send(200); // more than a second's, while the program is loaded
        Screens.runUntil(() -> session.segmented() > 0);
        int done = session.segmented();
        Thread.sleep(200);
        assertEquals(200, session.received());
        assertTrue(done + " frames were kept", done <= 3);
        assertEquals("no frame waits", done, session.segmented());
        segmentOne(screen);
        assertEquals(done + 1, session.segmented());
    }

    @Test(timeout = 120_000)
    public void theSliderChangesTheNextFrames() throws Exception {
        allow();
        ActivityController<LiveActivity> screen = opened();
        segmentOne(screen);
        SeekBar slider = screen.get().findViewById(R.id.phi);
        assertEquals(200, slider.getProgress());
        slider.setProgress(50);
        segmentOne(screen);
        segmentOne(screen);
        assertTrue(status(screen), status(screen).startsWith("phi 0.150 · 136 M MACs a tile · "));
        RuntimeEnvironment.setQualifiers("+land");
        screen.configurationChange(screen.get().getResources().getConfiguration());
        assertEquals(2, camera.openings);
        segmentOne(screen);
        assertTrue(status(screen), status(screen).startsWith("phi 0.150 · "));
    }

    @Test(timeout = 60_000)
    public void theCameraIsOpenOnlyWhileTheScreenIsVisible() throws Exception {
        ActivityController<LiveActivity> screen = opened();
        assertFalse(camera.isOpen);
        assertTrue(status(screen), status(screen).startsWith("The app segments what the camera"));
        Screens.save(screen.get(), "live-reason-large-light");
        screen.get().findViewById(R.id.allow).performClick();
        String[] asked = {Manifest.permission.CAMERA};
        screen.get().onRequestPermissionsResult(
                1, asked, new int[] {PackageManager.PERMISSION_DENIED});
        assertTrue(status(screen), status(screen).startsWith("The camera is not allowed."));
        allow();
        screen.get().onRequestPermissionsResult(
                1, asked, new int[] {PackageManager.PERMISSION_GRANTED});
        assertTrue(camera.isOpen);
        assertEquals(0, camera.rotation);
        LiveSession session = screen.get().session();
        screen.pause().stop();
        assertFalse(camera.isOpen);
        camera.send(3); // a camera may still give the frames that it has
        Thread.sleep(50);
        assertEquals(0, session.segmented());
        screen.start().resume();
        assertTrue(camera.isOpen);
    }

    @Test(timeout = 60_000)
    public void aFailureOfTheCameraIsASentence() throws Exception {
        allow();
        ActivityController<LiveActivity> screen = opened();
        segmentOne(screen);
        camera.listener.onFailed("Another app took the camera; open it again.");
        assertEquals("Another app took the camera; open it again.", status(screen));
        assertNull(screen.get().session());
        assertFalse(camera.isOpen);
        screen.pause().stop().start().resume();
        assertNotNull(screen.get().session());
    }

    @Test
    public void theScreenOfPicturesOpensIt() {
        SegmentActivity screen = Robolectric.buildActivity(SegmentActivity.class).setup().get();
        screen.findViewById(R.id.live).performClick();
        Intent next = shadowOf(screen).getNextStartedActivity();
        assertEquals(LiveActivity.class.getName(), next.getComponent().getClassName());
    }
}
