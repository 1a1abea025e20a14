package org.edgepipeline.app.artifact;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.edgepipeline.app.errors.RunException;
import org.junit.Test;

/** Writes filters into a folded program. */
public final class WeightsTest {
    private static Constant constant(String more) throws Exception {
        String text = "{\"name\": \"w\", \"shape\": [2, 3], \"axes\": [1, 0], \"file\": \"f\","
                + " \"offsets\": [8]" + more + "}";
        return new Constant(Node.parse("m.json", text));
    }

    @Test
    public void axesAreTurnedAndNumbersAreEncoded() throws Exception {
        float[] value = {1, 2, 3, 4, 5, 6.0001f};
        byte[] plain = Weights.encoded(constant(", \"dtype\": \"float32\""), value);
        ByteBuffer data = ByteBuffer.wrap(plain).order(ByteOrder.LITTLE_ENDIAN);
        float[] stored = new float[6];
        data.asFloatBuffer().get(stored);
        assertArrayEquals(new float[] {1, 4, 2, 5, 3, 6.0001f}, stored, 0);
        byte[] half = Weights.encoded(
                constant(", \"dtype\": \"float16\", \"scale\": 0.5"), value);
        assertEquals(12, half.length);
        assertEquals(0x3800, ByteBuffer.wrap(half).order(ByteOrder.LITTLE_ENDIAN).getShort());
        byte[] rounded = Weights.encoded(
                constant(", \"dtype\": \"float32\", \"rounded\": true"), value);
        assertEquals(6, ByteBuffer.wrap(rounded).order(ByteOrder.LITTLE_ENDIAN).getFloat(20), 0);
    }

    @Test
    public void everyHalfFloatIsItself() {
        for (int bits = 0; bits < 0x7C00; bits++) {
            assertEquals(bits, HalfFloat.bits(HalfFloat.value((short) bits)));
            assertEquals((short) (bits | 0x8000), HalfFloat.bits(-HalfFloat.value((short) bits)));
        }
        assertEquals(0x3C00, HalfFloat.bits(1 + 0x1p-11f)); // halfway: to even
        assertEquals(0x3C02, HalfFloat.bits(1 + 3 * 0x1p-11f));
        assertEquals(0x0400, HalfFloat.bits(0x1p-14f * (1 - 0x1p-12f)));
    }

    @Test
    public void otherWeightsAreWrittenAtTheirPlacesOnly() throws Exception {
        Artifact artifact = Artifact.open(Golden.isp());
        ProgramSpec path = artifact.manifest.path();
        Map<String, float[]> values = new HashMap<>();
        for (Constant one : path.constants) {
            float[] value = new float[(int) one.count()];
            Arrays.fill(value, 0.25f);
            values.put(one.name, value);
        }
        byte[] changed = Weights.replaced(artifact, path, values).get("forward.onnx.data");
        byte[] original = artifact.content("forward.onnx.data");
        assertEquals(original.length, changed.length);
        long written = 0;
        for (Constant one : path.constants) {
            for (int offset : one.offsets) {
                if (one.file.equals("forward.onnx.data")) {
                    written += one.bytes();
                    assertEquals(0.25f, ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN)
                            .getFloat(offset), 0);
                }
            }
        }
        long different = 0;
        for (int i = 0; i < changed.length; i++) {
            different += changed[i] != original[i] ? 1 : 0;
        }
        assertTrue(different + " of " + written, different <= written && different > written / 2);
        values.put("up.bias", new float[] {1});
        try {
            Weights.replaced(artifact, path, values);
            fail("a weight of another shape was accepted");
        } catch (RunException error) {
            assertEquals("The filter up.bias has 1 values; expected 64.", error.getMessage());
        }
    }
}
