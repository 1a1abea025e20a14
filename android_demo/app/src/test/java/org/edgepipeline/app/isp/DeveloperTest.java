package org.edgepipeline.app.isp;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.correct.Corrections;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.DngReader;
import org.edgepipeline.app.errors.ArtifactException;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.runner.Runners;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Develops captures with the shipped network and compares them with `edge-pipeline develop`. */
public final class DeveloperTest {
    private static final Progress SILENT = (done, total) -> {};

    @Rule public TemporaryFolder folder = new TemporaryFolder();

    private Pictures developed(String name, int tile) throws Exception {
        return developed(DngReader.read(Golden.fixture(name + ".dng")), tile);
    }

    private Pictures developed(Capture capture, int tile) throws Exception {
        Runners runners = new Runners(folder.getRoot(), 1);
        Pictures picture = new Pictures();
        new Developer(Artifact.open(Golden.isp()), runners, tile).develop(capture, picture, SILENT);
        assertEquals("files are left", 0, folder.getRoot().list().length);
        return picture;
    }

    @Test(timeout = 60_000)
    public void picturesAreThoseOfDevelop() throws Exception {
        for (String name : new String[] {"chart", "bright"}) {
            Pictures plain = developed(name, 256);
            Capture capture = DngReader.read(Golden.fixture(name + ".dng"));
            Corrections.correct(capture, SILENT);
            Pictures whole = developed(capture, 256);
            double off = plain.psnr(Pictures.read(Golden.fixture(name + "_uncorrected.png")));
            double on = whole.psnr(Pictures.read(Golden.fixture(name + "_default.png")));
            double between = plain.psnr(Pictures.read(Golden.fixture(name + "_default.png")));
            System.out.printf("%s: %.1f dB to develop, %.1f dB without corrections%n",
                    name, on, off);
            assertTrue(name + " " + off, off > 65);
            assertTrue(name + " " + on, on > 65);
            assertTrue("corrections are visible: " + between, between < on - 3);
        }
    }

    @Test(timeout = 60_000)
    public void tilesEqualTheWhole() throws Exception {
        Pictures whole = developed("bright", 1024);
        Pictures tiled = developed("bright", 112);
        assertTrue(whole.largestDifference(tiled) <= 1);
        assertTrue(whole.psnr(tiled) > 65);
    }

    @Test(timeout = 60_000)
    public void progressRisesAndCancellingEndsTheWork() throws Exception {
        Capture capture = DngReader.read(Golden.fixture("chart.dng"));
        Developer developer = new Developer(
                Artifact.open(Golden.isp()), new Runners(folder.getRoot(), 1), 112);
        int[] seen = {0, 0};
        developer.develop(capture, new Pictures(), (done, total) -> {
            assertTrue(done >= seen[0] && done <= Math.max(total, 0));
            seen[0] = done;
            seen[1] = total;
        });
        assertTrue(seen[1] > 4);
        assertEquals(seen[1], seen[0]);
        try {
            developer.develop(capture, new Pictures(), (done, total) -> {
                if (done == 2) {
                    throw new CancelledException();
                }
            });
            fail("the work was not cancelled");
        } catch (CancelledException expected) {
            assertEquals("files are left", 0, folder.getRoot().list().length);
        }
    }

    @Test
    public void aSegmenterIsRefused() throws Exception {
        Artifact artifact = Artifact.open(
                Golden.repository("calibration/pretrained/phi_unet_nuclei/artifact"));
        Capture capture = DngReader.read(Golden.fixture("chart.dng"));
        try {
            new Developer(artifact, new Runners(folder.getRoot(), 1))
                    .develop(capture, new Pictures(), SILENT);
            fail("a segmenter was accepted");
        } catch (ArtifactException expected) {
            assertTrue(expected.getMessage(), expected.getMessage().endsWith("."));
        }
    }

    @Test(timeout = 60_000)
    public void thePlainPictureShowsTheSameScene() throws Exception {
        Pictures plain = new Pictures();
        Plain.develop(DngReader.read(Golden.fixture("chart.dng")), plain, SILENT);
        double psnr = plain.psnr(Pictures.read(Golden.fixture("chart_default.png")));
        assertTrue("" + psnr, psnr > 25 && psnr < 50);
    }
}
