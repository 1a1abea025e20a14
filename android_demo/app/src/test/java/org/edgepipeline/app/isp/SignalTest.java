package org.edgepipeline.app.isp;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import java.util.Map;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.DngReader;
import org.edgepipeline.app.tiles.Reflection;
import org.junit.Test;

/** Compares the network's input with that of `edge-pipeline develop`. */
public final class SignalTest {
    private static final String[] NAMES = {
        "order_rggb", "order_grbg", "order_gbrg", "order_bggr", "bits_10", "jpeg_1", "colours"
    };

    @Test
    public void packedPlanesAreThoseOfPythonInEveryOrder() throws Exception {
        for (String name : NAMES) {
            Map<?, ?> golden = (Map<?, ?>) Golden.json("golden.json").get(name);
            Map<?, ?> expected = (Map<?, ?>) golden.get("signal");
            Light light = new Light(DngReader.read(Golden.fixture(name + ".dng")));
            double white = light.normaliseHeadroom();
            Signal signal = new Signal(light, 8);
            double[] shape = Golden.numbers(expected.get("shape"));
            assertEquals(name, shape[0], signal.height(), 0);
            assertEquals(name, shape[1], signal.width(), 0);
            assertEquals(name, (Double) expected.get("after_ev"),
                    Math.log(white) / Math.log(2), 1e-6);
            assertArrayEquals(name, Golden.numbers(expected.get("packed")), grid(signal), 2e-6);
        }
    }

    /** Returns every ninth row from row 1 and every eleventh column from column 2. */
    private static double[] grid(Signal signal) {
        int height = signal.height() / 2;
        int width = signal.width() / 2;
        float[] packed = new float[4 * height * width];
        signal.pack(0, height, 0, width, packed, new int[] {height, width, 0, 0});
        int rows = (height - 1 + 8) / 9;
        int columns = (width - 2 + 10) / 11;
        double[] grid = new double[4 * rows * columns];
        for (int i = 0; i < grid.length; i++) {
            int plane = i / (rows * columns);
            int row = 1 + i / columns % rows * 9;
            int column = 2 + i % columns * 11;
            grid[i] = packed[(plane * height + row) * width + column];
        }
        return grid;
    }

    @Test
    public void windowsEqualTheWholeAlsoBeyondItsEdges() throws Exception {
        Capture capture = DngReader.read(Golden.fixture("bright.dng"));
        Light light = new Light(capture);
        light.normaliseHeadroom();
        Signal signal = new Signal(light, 8);
        int height = signal.height() / 2;
        int width = signal.width() / 2;
        float[] whole = new float[4 * height * width];
        signal.pack(0, height, 0, width, whole, new int[] {height, width, 0, 0});
        int[] place = {24, 20, 0, 0};
        for (int top : new int[] {-12, 0, 41, height - 10}) {
            for (int left : new int[] {-9, 0, 17, width - 7}) {
                float[] window = new float[4 * 24 * 20];
                signal.pack(top, 24, left, 20, window, place);
                for (int i = 0; i < window.length; i++) {
                    int plane = i / 480;
                    int row = Reflection.of(2 * (top + i / 20 % 24) + plane / 2, 2 * height);
                    int column = Reflection.of(2 * (left + i % 20) + plane % 2, 2 * width);
                    float expected = whole[((row % 2 * 2 + column % 2) * height + row / 2) * width
                            + column / 2];
                    assertEquals(expected, window[i], 0);
                }
            }
        }
    }
}
