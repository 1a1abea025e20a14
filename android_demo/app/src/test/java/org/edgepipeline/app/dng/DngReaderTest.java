package org.edgepipeline.app.dng;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;

import java.io.File;
import java.util.Map;
import java.util.zip.CRC32;
import org.edgepipeline.app.artifact.Golden;
import org.junit.Test;

/** Compares captures with the values that rawpy and `develop` read from the same files. */
public final class DngReaderTest {
    @Test(timeout = 60_000)
    public void everyFormatHasTheValuesOfRawpy() throws Exception {
        Map<?, ?> golden = Golden.json("golden.json");
        assertEquals(21, golden.size());
        for (Map.Entry<?, ?> entry : golden.entrySet()) {
            String name = (String) entry.getKey();
            File file = name.equals("colorchart")
                    ? Golden.repository("calibration/captures/colorchart.dng")
                    : Golden.fixture(name + ".dng");
            check(name, DngReader.read(file), (Map<?, ?>) entry.getValue());
        }
    }

    private static void check(String name, Capture capture, Map<?, ?> golden) {
        assertEquals(name, golden.get("height"), (double) capture.height);
        assertEquals(name, golden.get("width"), (double) capture.width);
        assertEquals(name, golden.get("cfa"), capture.cfa.name());
        assertEquals(name, golden.get("white"), capture.white);
        assertEquals(name, golden.get("orientation"), (double) capture.orientation);
        assertArrayEquals(name, Golden.numbers(golden.get("black")), capture.black, 0);
        assertArrayEquals(name, Golden.numbers(golden.get("wb")), capture.whiteBalance, 1e-6);
        assertNotNull(name, capture.xyzToCamera);
        assertArrayEquals(name, Golden.numbers(golden.get("camera_to_srgb")),
                Matrices.cameraToSrgb(capture.xyzToCamera), 2e-5);
        CRC32 sum = new CRC32();
        for (short value : capture.mosaic) {
            sum.update(value & 0xFF);
            sum.update(value >> 8 & 0xFF);
        }
        assertEquals(name, golden.get("crc32"), (double) sum.getValue());
    }

    @Test
    public void theNoiseProfileAndTheCameraAreRead() throws Exception {
        Capture capture = DngReader.read(Golden.fixture("colours.dng"));
        double[] expected = {2e-4, 1e-6, 1.5e-4, 1e-6, 2.5e-4, 2e-6};
        assertArrayEquals(expected, capture.noiseProfile, 0);
        assertEquals("Edge Sensor One", capture.camera);
        assertEquals(0, capture.notes.size());
    }
}
