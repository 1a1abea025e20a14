package org.edgepipeline.app.dng;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.Random;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.errors.CaptureException;
import org.junit.Test;

/** Reads the camera's JPEG and the exposure of a DNG. */
public final class PreviewTest {
    private static byte[] jpeg() {
        byte[] jpeg = new byte[400];
        new Random(1).nextBytes(jpeg);
        jpeg[0] = (byte) 0xFF;
        jpeg[1] = (byte) 0xD8;
        return jpeg;
    }

    private static byte[] dng() throws Exception {
        return Files.readAllBytes(Golden.fixture("chart.dng").toPath());
    }

    private static Capture read(byte[] content) throws Exception {
        return new DngReader("c.dng", DngReader.MOST_PIXELS).read(ByteBuffer.wrap(content));
    }

    @Test
    public void theJpegAndTheExposureAreFound() throws Exception {
        Capture capture = read(PreviewDng.of(dng(), jpeg()));
        byte[] found = new byte[capture.preview.remaining()];
        capture.preview.duplicate().get(found);
        assertArrayEquals(jpeg(), found);
        assertEquals(1 / 125.0, capture.shot.exposure, 0);
        assertEquals(1.8, capture.shot.aperture, 0);
        assertEquals(200, capture.shot.iso);
        assertEquals("2026:11:23 03:00:00", capture.shot.taken);
        assertEquals("Edge", capture.shot.maker);
        Capture plain = read(dng());
        assertNull(plain.preview);
        assertEquals(0, plain.shot.exposure, 0);
        assertEquals("", plain.shot.taken);
        assertArrayEquals(plain.mosaic, capture.mosaic);
    }

    @Test(timeout = 60_000)
    public void damagedDirectoriesNeverCrash() throws Exception {
        byte[] whole = PreviewDng.of(dng(), jpeg());
        int start = dng().length;
        Random random = new Random(2);
        int read = 0;
        for (int round = 0; round < 200; round++) {
            byte[] damaged = whole.clone();
            for (int i = 0; i < 4; i++) {
                damaged[start + random.nextInt(160)] = (byte) random.nextInt(256);
            }
            try {
                Capture capture = read(damaged);
                read++;
                assertTrue(capture.shot.exposure >= 0 && capture.shot.iso >= 0);
                assertTrue(capture.preview == null || capture.preview.get(0) == (byte) 0xFF);
            } catch (CaptureException error) {
                assertTrue(error.getMessage(), error.getMessage().endsWith("."));
            }
        }
        assertTrue("" + read, read > 150);
    }
}
