package org.edgepipeline.app.artifact;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.CRC32;
import org.edgepipeline.app.errors.ArtifactException;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Evaluates weights at other values of phi, and compares them with `respecialise`. */
public final class WeightCurveTest {
    private static final String SEGMENTER = "calibration/pretrained/phi_unet_nuclei/artifact";

    @Rule public TemporaryFolder folder = new TemporaryFolder();

    private static byte[] content() throws Exception {
        return Files.readAllBytes(Golden.fixture("segment/curve.safetensors").toPath());
    }

    @Test
    public void weightsHaveTheBitsOfPython() throws Exception {
        WeightCurve curve = WeightCurve.of("c", ByteBuffer.wrap(content()));
        assertEquals("phi", curve.input);
        Map<?, ?> golden = (Map<?, ?>) Golden.json("segment/golden.json").get("curve");
        for (Map.Entry<?, ?> one : golden.entrySet()) {
            Map<String, float[]> found = curve.at(Double.parseDouble((String) one.getKey()));
            Map<?, ?> expected = (Map<?, ?>) one.getValue();
            assertEquals(expected.keySet(), found.keySet());
            for (Map.Entry<?, ?> weight : expected.entrySet()) {
                double[] numbers = Golden.numbers(weight.getValue());
                float[] singles = new float[numbers.length];
                for (int i = 0; i < singles.length; i++) {
                    singles[i] = (float) numbers[i];
                }
                assertArrayEquals(one.getKey() + " " + weight.getKey(), singles,
                        found.get(weight.getKey()), 0);
            }
        }
    }

    @Test
    public void theTableIsConstantBetweenItsBreaks() throws Exception {
        SizeTable table = WeightCurve.of("c", ByteBuffer.wrap(content())).table;
        assertEquals(10, table.at(Math.nextDown(0.25))[0]);
        assertEquals(20, table.at(0.25)[0]);
        assertEquals(3000, table.macs(table.at(0.6), 7));
        assertEquals(10, table.at(0.1)[0]);
    }

    @Test
    public void programsHaveTheBytesOfRespecialise() throws Exception {
        Artifact artifact = Artifact.open(Golden.repository(SEGMENTER));
        Phi phi = Phi.of(artifact);
        assertTrue(phi.isFree());
        assertEquals(0.3, phi.own(), 0);
        assertEquals(0.1, phi.low(), 0);
        assertEquals(0.6, phi.high(), 0);
        for (Object one : (List<?>) Golden.json("segment/golden.json").get("programs")) {
            Map<?, ?> expected = (Map<?, ?>) one;
            Variant made = phi.at((Double) expected.get("phi"));
            assertEquals(((Double) expected.get("macs")).longValue(), made.macs);
            Map<?, ?> files = (Map<?, ?>) expected.get("files");
            assertEquals(files.keySet(), made.files.keySet());
            for (Map.Entry<?, ?> file : files.entrySet()) {
                CRC32 hash = new CRC32();
                hash.update(made.files.get(file.getKey()));
                assertEquals(file.getKey() + " at " + made.phi,
                        ((Double) file.getValue()).longValue(), hash.getValue());
            }
        }
        assertTrue(phi.at(0.3).files.isEmpty());
        try {
            phi.at(0.61);
            fail("0.61 was accepted");
        } catch (ArtifactException error) {
            assertEquals("artifact serves phi from 0.1 to 0.6, not 0.61.", error.getMessage());
        }
    }

    @Test
    public void aNetworkWithoutPhiHasOneProgram() throws Exception {
        Phi none = Phi.of(Artifact.open(Golden.isp()));
        assertTrue(!none.isFree() && Double.isNaN(none.own()));
        assertTrue(none.at(Double.NaN).files.isEmpty());
    }

    @Test
    public void severalProgramsServeTheNearestValue() throws Exception {
        Phi phi = Phi.of(Several.of(folder.getRoot()));
        assertTrue(phi.isFree());
        assertEquals(0.15, phi.low(), 0);
        assertEquals(0.3, phi.high(), 0);
        assertEquals(0.15, phi.nearest(0.22), 0);
        assertEquals(0.3, phi.nearest(0.23), 0);
        assertEquals("forward_1", phi.at(phi.nearest(0.1)).program.name);
        Variant high = phi.at(phi.nearest(0.29));
        assertEquals("forward_2", high.program.name);
        assertTrue(high.files.isEmpty());
    }

    @Test
    public void damagedCurvesAreSentences() throws Exception {
        byte[] content = content();
        Random random = new Random(14);
        int refused = 0;
        for (int round = 0; round < 2000; round++) {
            byte[] damaged = content.clone();
            for (int i = 0; i <= round % 3; i++) {
                damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
            }
            int length = round % 5 == 0 ? random.nextInt(damaged.length) : damaged.length;
            try {
                WeightCurve curve = WeightCurve.of("c", ByteBuffer.wrap(damaged, 0, length));
                curve.at(0.3);
                if (curve.table != null) {
                    curve.table.at(0.3);
                }
            } catch (ArtifactException error) {
                assertTrue(error.getMessage(), error.getMessage().endsWith("."));
                refused++;
            }
        }
        assertTrue("" + refused, refused > 500);
    }
}
