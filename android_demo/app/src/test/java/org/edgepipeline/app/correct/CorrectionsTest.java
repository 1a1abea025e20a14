package org.edgepipeline.app.correct;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.awt.image.Raster;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.DngReader;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.isp.Progress;
import org.junit.Test;

/** Compares corrected captures with those of `edge_pipeline/raw`. */
public final class CorrectionsTest {
    private static final Progress SILENT = (done, total) -> {};
    private static final String[] LENSES = {"lens_rggb", "lens_bggr"};

    private static Capture capture(String name) throws Exception {
        return DngReader.read(Golden.fixture(name + ".dng"));
    }

    private static long hash(Capture capture) {
        CRC32 hash = new CRC32();
        for (short value : capture.mosaic) {
            hash.update(value);
            hash.update(value >> 8);
        }
        return hash.getValue();
    }

    private static Map<?, ?> golden(String name) throws Exception {
        return (Map<?, ?>) Golden.json("corrections.json").get(name);
    }

    @Test(timeout = 60_000)
    public void repairedPixelsAreThoseOfPython() throws Exception {
        for (Object name : Golden.json("corrections.json").keySet()) {
            Map<?, ?> expected = golden((String) name);
            Capture capture = capture((String) name);
            short[] before = capture.mosaic.clone();
            HotPixels pixels = HotPixels.repair(capture, SILENT);
            List<Double> places = new ArrayList<>();
            for (int i = 0; i < before.length; i++) {
                if (before[i] != capture.mosaic[i]) {
                    places.add((double) i);
                }
            }
            assertEquals(name.toString(), expected.get("places"), places);
            assertEquals(expected.get("hot"), (double) pixels.hot);
            assertEquals(expected.get("dead"), (double) pixels.dead);
            assertEquals(name + ": values", ((Double) expected.get("repaired_crc32")).longValue(),
                    hash(capture));
        }
    }

    @Test(timeout = 60_000)
    public void displacementsAreThoseOfPython() throws Exception {
        for (Object name : Golden.json("corrections.json").keySet()) {
            Capture capture = capture((String) name);
            HotPixels.repair(capture, SILENT);
            Cells cells = new Cells(capture);
            List<int[]> corners = Fringes.corners(cells);
            for (int plane = 0; plane < 4; plane += 3) {
                Map<?, ?> expected =
                        (Map<?, ?>) golden((String) name).get(plane == 0 ? "red" : "blue");
                Fringes found = Fringes.measured(cells, corners, plane, SILENT);
                assertEquals(name + " " + plane, expected.get("certain"), found.isCertain);
                assertEquals(expected.get("blocks"), (double) found.blocks);
                assertEquals((Double) expected.get("prediction"), found.prediction, 1e-4);
                assertArrayEquals(Golden.numbers(expected.get("displacement")),
                        found.displacement.terms, 1e-4);
            }
        }
    }

    @Test(timeout = 60_000)
    public void realignedCapturesAreThoseOfPython() throws Exception {
        for (String name : LENSES) {
            Capture capture = capture(name);
            short[] before = capture.mosaic.clone();
            Corrections corrections = Corrections.correct(capture, SILENT);
            assertTrue(name, corrections.isRedMoved && corrections.isBlueMoved);
            Raster expected = ImageIO.read(Golden.fixture(name + "_aligned.png")).getRaster();
            int changed = 0;
            int different = 0;
            for (int i = 0; i < before.length; i++) {
                int wished = expected.getSample(i % capture.width, i / capture.width, 0);
                int value = capture.mosaic[i] & 0xFFFF;
                changed += value == before[i] ? 0 : 1;
                different += value == wished ? 0 : 1;
                assertEquals(name + " at " + i, wished, value, 1);
            }
            assertTrue(name + " " + changed, changed > 0.4 * before.length);
            assertTrue(name + " " + different, different < 1e-3 * before.length);
        }
    }

    @Test(timeout = 60_000)
    public void samplesLieBetweenPixels() {
        float[][] phases = {new float[100 * 90]};
        for (int i = 0; i < phases[0].length; i++) {
            phases[0][i] = (float) Math.sin(i % 90 * 0.3) + i / 90 * 0.01f;
        }
        Sampling.Field field = new Sampling.Field(84, 74);
        Arrays.fill(field.down, 0.25f);
        Arrays.fill(field.right, -1.5f);
        float[] sampled = Sampling.sample(phases, 1, 0, field, 8);
        for (int i = 0; i < sampled.length; i++) {
            double column = i % 74 + 8 - 1.5;
            double expected = Math.sin(column * 0.3) + (i / 74 + 8.25) * 0.01;
            assertEquals(expected, sampled[i], 5e-3);
        }
    }

    @Test
    public void aCaptureTooSmallForTheRulesIsLeftAsItIs() throws Exception {
        Capture capture = capture("bits_10");
        short[] before = capture.mosaic.clone();
        Corrections corrections = Corrections.correct(capture, SILENT);
        assertArrayEquals(before, capture.mosaic);
        assertEquals(0, corrections.hotPixels + corrections.deadPixels);
        assertTrue(!corrections.isRedMoved && !corrections.isBlueMoved);
    }

    @Test
    public void everyStepCanBeCancelled() throws Exception {
        int[] steps = {0};
        Corrections.correct(capture("lens_rggb"), (done, total) -> steps[0]++);
        assertTrue("" + steps[0], steps[0] > 100);
        for (int last : new int[] {0, 200, steps[0] - 1}) {
            int[] left = {last};
            try {
                Corrections.correct(capture("lens_rggb"), (done, total) -> {
                    if (left[0]-- == 0) {
                        throw new CancelledException();
                    }
                });
                fail("the work was not cancelled at step " + last);
            } catch (CancelledException expected) {
                assertEquals(-1, left[0]);
            }
        }
    }
}
