package org.edgepipeline.app.dng;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Random;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.correct.Corrections;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.errors.CaptureException;
import org.junit.Test;

/** Reads damaged files: each is read or refused with a sentence, in little time. */
public final class DngHostileTest {
    private static final String[] NAMES = {
        "order_grbg", "bits_10", "big_endian", "jpeg_1", "jpeg_6", "jpeg_restart", "colours",
        "table"
    };
    private static final int HEADER = 700;

    /** Returns whether the content was read; fails unless it is refused with a sentence. */
    private static boolean reads(byte[] content) {
        try {
            new DngReader("a.dng", 1_000_000).read(ByteBuffer.wrap(content));
            return true;
        } catch (CaptureException error) {
            assertTrue(error.getMessage(), error.getMessage().matches("(?s)a\\.dng .*\\."));
            return false;
        }
    }

    private static byte[] fixture(String name) throws Exception {
        return Files.readAllBytes(Golden.fixture(name + ".dng").toPath());
    }

    /** With -Dedge.seeds=N, more than one seed is run. */
    @Test(timeout = 600_000)
    public void mutatedFilesAreReadOrRefused() throws Exception {
        for (int seed = 0; seed < Integer.getInteger("edge.seeds", 1); seed++) {
            Random random = new Random(14 + seed);
            int refused = 0;
            for (String name : NAMES) {
                byte[] original = fixture(name);
                for (int i = 0; i < 600; i++) {
                    byte[] content = original.clone();
                    int range = i % 2 == 0 ? HEADER : content.length;
                    for (int j = random.nextInt(4); j >= 0; j--) {
                        content[random.nextInt(range)] = (byte) random.nextInt(256);
                    }
                    refused += reads(content) ? 0 : 1;
                    if (i % 8 == 0) {
                        corrects(content);
                    }
                }
            }
            assertTrue("mutations had no effect: " + refused, refused > 300);
        }
    }

    /** Corrects a capture if it can be read: its levels and colours may be of any size. */
    private static void corrects(byte[] content) throws CancelledException {
        try {
            Capture capture = new DngReader("a.dng", 1_000_000).read(ByteBuffer.wrap(content));
            Corrections found = Corrections.correct(capture, (done, total) -> {});
            assertTrue(found.hotPixels + found.deadPixels < capture.mosaic.length / 4);
        } catch (CaptureException refused) {
            assertTrue(refused.getMessage().endsWith("."));
        }
    }

    @Test(timeout = 60_000)
    public void truncatedFilesAreRefused() throws Exception {
        for (String name : NAMES) {
            byte[] original = fixture(name);
            assertTrue(name, reads(original));
            for (int length = 0; length < original.length - 4; length += 1 + length / 20) {
                assertTrue(name + " " + length, !reads(Arrays.copyOf(original, length)));
            }
        }
    }

    @Test(timeout = 10_000)
    public void directoriesThatReferToEachOtherEnd() throws Exception {
        byte[] content = fixture("order_rggb");
        ByteBuffer data = ByteBuffer.wrap(content).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        data.putInt(8 + 2 + 12 * (data.getShort(8) & 0xFFFF), 8);
        assertTrue(reads(content));
    }

    @Test(timeout = 10_000)
    public void aStatedSizeThatTheFileCannotHoldIsRefusedBeforeMemoryIsTaken() throws Exception {
        byte[] content = fixture("jpeg_1");
        ByteBuffer data = ByteBuffer.wrap(content).order(java.nio.ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < data.getShort(8); i++) {
            int at = 10 + 12 * i;
            if (data.getShort(at) == 256 || data.getShort(at) == 257) {
                data.putInt(at + 8, 10_000);
            }
        }
        try {
            new DngReader("a.dng", DngReader.MOST_PIXELS).read(data);
            fail("the file was read");
        } catch (CaptureException error) {
            assertEquals("a.dng is truncated or damaged; copy it from the camera again.",
                    error.getMessage());
        }
        try {
            new DngReader("a.dng", 1_000_000).read(data);
            fail("the file was read");
        } catch (CaptureException error) {
            assertEquals("a.dng has 10000 x 10000 pixels; the limit is 1 million pixels.",
                    error.getMessage());
        }
    }

    @Test
    public void otherFilesAreRefused() throws Exception {
        assertTrue(!reads(new byte[0]));
        assertTrue(!reads("%PDF-1.7 and more text".getBytes("UTF-8")));
        assertTrue(!reads(Files.readAllBytes(
                Golden.repository("tests/data/captures/RAW_KODAK_DC50.KDC").toPath())));
        try {
            DngReader.read(new File("missing.dng"));
            fail("the file was read");
        } catch (CaptureException error) {
            assertEquals("missing.dng cannot be read; copy it from the camera again.",
                    error.getMessage());
        }
    }
}
