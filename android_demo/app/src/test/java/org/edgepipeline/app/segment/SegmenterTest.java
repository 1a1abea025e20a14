package org.edgepipeline.app.segment;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.awt.image.BufferedImage;
import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.artifact.Phi;
import org.edgepipeline.app.errors.ArtifactException;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.isp.PictureSink;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Runners;
import org.edgepipeline.app.tiles.Span;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Segments a picture with the shipped network and compares it with `edge-pipeline segment`. */
public final class SegmenterTest {
    @Rule public TemporaryFolder folder = new TemporaryFolder();

    private static Artifact artifact() throws Exception {
        return Artifact.open(
                Golden.repository("calibration/pretrained/phi_unet_nuclei/artifact"));
    }

    /** A picture in memory. */
    private static final class Held implements PixelSource {
        final BufferedImage image;

        Held(File file) throws Exception {
            image = ImageIO.read(file);
        }

        @Override
        public int width() {
            return image.getWidth();
        }

        @Override
        public int height() {
            return image.getHeight();
        }

        @Override
        public void read(int[] argb, int left, int top, int width, int height) {
            image.getRGB(left, top, width, height, argb, 0, width);
        }
    }

    private static byte[] labelsOf(String name) throws Exception {
        BufferedImage image = ImageIO.read(Golden.fixture("segment/" + name));
        byte[] labels = new byte[image.getWidth() * image.getHeight()];
        for (int i = 0; i < labels.length; i++) {
            labels[i] = (byte) image.getRaster()
                    .getSample(i % image.getWidth(), i / image.getWidth(), 0);
        }
        return labels;
    }

    @Test(timeout = 60_000)
    public void labelsAndOverlayAreThoseOfSegment() throws Exception {
        Held picture = new Held(Golden.fixture("segment/picture.png"));
        Artifact artifact = artifact();
        Segmenter segmenter = new Segmenter(artifact);
        assertEquals("[background, nucleus]", segmenter.names.names.toString());
        for (Object one : (List<?>) Golden.json("segment/golden.json").get("programs")) {
            Map<?, ?> expected = (Map<?, ?>) one;
            double phi = (Double) expected.get("phi");
            int[] seen = {0, 0};
            byte[] labels;
            try (Runner runner = new Runners(folder.getRoot(), 1)
                    .open(artifact, Phi.of(artifact).at(phi))) {
                labels = segmenter.segment(runner, picture, (done, total) -> {
                    seen[0] = done;
                    seen[1] = total;
                });
            }
            assertArrayEquals("phi " + phi, labelsOf("labels_" + phi + ".png"), labels);
            assertEquals((Double) expected.get("share"),
                    segmenter.names.shares(labels).get("nucleus"), 1e-12);
            assertArrayEquals(new int[] {4, 4}, seen);
            assertEquals(((Double) expected.get("overlay")).longValue(),
                    drawn(picture, labels, segmenter.names));
        }
        assertEquals("files are left", 0, folder.getRoot().list().length);
    }

    private static long drawn(PixelSource picture, byte[] labels, LabelNames names) {
        CRC32 hash = new CRC32();
        Overlay.draw(picture, labels, names, new PictureSink() {
            @Override
            public void begin(int width, int height) {
                assertEquals(picture.width() + " " + picture.height(), width + " " + height);
            }

            @Override
            public void put(int[] argb, int left, int top, int width, int height) {
                for (int pixel : argb) {
                    hash.update(pixel >> 16);
                    hash.update(pixel >> 8);
                    hash.update(pixel);
                }
            }
        });
        return hash.getValue();
    }

    @Test
    public void aMaskOverAPictureIsTheDrawing() throws Exception {
        Held picture = new Held(Golden.fixture("segment/picture.png"));
        byte[] labels = labelsOf("labels_0.15.png");
        LabelNames names = new Segmenter(artifact()).names;
        int[] mask = Overlay.mask(labels, picture.width(), names);
        int[] line = new int[labels.length];
        picture.read(line, 0, 0, picture.width(), picture.height());
        int[] drawn = new int[labels.length];
        Overlay.draw(picture, labels, names, new PictureSink() {
            @Override
            public void begin(int width, int height) {}

            @Override
            public void put(int[] argb, int left, int top, int width, int height) {
                System.arraycopy(argb, 0, drawn, top * width, argb.length);
            }
        });
        for (int i = 0; i < mask.length; i++) {
            float opacity = (mask[i] >>> 24) / 255f;
            for (int shift = 0; shift < 24; shift += 8) {
                float code = (line[i] >> shift & 0xFF) * (1 - opacity)
                        + (mask[i] >> shift & 0xFF) * opacity;
                assertEquals("pixel " + i, drawn[i] >> shift & 0xFF, code, 1);
            }
        }
    }

    @Test
    public void keptPartsCoverEachPixelOnce() {
        for (int size = 1; size < 700; size += 13) {
            for (int margin : new int[] {0, 8, 31}) {
                for (int stride : new int[] {1, 8}) {
                    int next = 0;
                    for (Span span : Span.overlapping(size, 64, margin, stride)) {
                        assertEquals(next, span.coreStart);
                        next = span.coreStop;
                        assertTrue(span.coreStart >= span.start);
                        assertTrue(span.coreStop <= span.start + 64);
                        assertEquals(0, Math.floorMod(span.start, stride));
                    }
                    assertEquals(size, next);
                }
            }
        }
        assertArrayEquals(new int[] {0, 0, 0}, places(1, 3));
        assertArrayEquals(new int[] {2, 1, 0, 1, 2, 1, 0}, places(3, 7));
    }

    private static int[] places(int size, int window) {
        return Span.overlapping(size, window, 0, 1).get(0).places(size);
    }

    @Test
    public void otherNetworksAreRefused() throws Exception {
        try {
            new Segmenter(Artifact.open(Golden.isp()));
            fail("a network that develops captures was accepted");
        } catch (ArtifactException error) {
            assertTrue(error.getMessage(),
                    error.getMessage().startsWith("artifact is no segmenter: "));
        }
    }

    @Test(timeout = 60_000)
    public void cancellingEndsTheWork() throws Exception {
        Artifact artifact = artifact();
        try (Runner runner = new Runners(folder.getRoot(), 1)
                .open(artifact, artifact.manifest.path())) {
            new Segmenter(artifact).segment(runner,
                    new Held(Golden.fixture("segment/picture.png")), (done, total) -> {
                        if (done == 1) {
                            throw new CancelledException();
                        }
                    });
            fail("the work was not cancelled");
        } catch (CancelledException expected) {
            assertTrue(expected.getMessage().endsWith("."));
        }
    }
}
