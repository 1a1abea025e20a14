package org.edgepipeline.app.isp;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.util.List;
import java.util.Map;
import org.edgepipeline.app.artifact.Golden;
import org.junit.Test;

/** Compares colour and tone with those of `edge_pipeline/isp/canvas.py`. */
public final class ColourConversionTest {
    @Test
    public void codesAreThoseOfPythonToOneOf255() throws Exception {
        Map<?, ?> golden = Golden.json("colours.json");
        double[] rgb = Golden.numbers(golden.get("rgb"));
        double[] matrix = Golden.numbers(golden.get("matrix"));
        int count = rgb.length / 3;
        int equal = 0;
        for (Object one : (List<?>) golden.get("cases")) {
            double white = (Double) ((Map<?, ?>) one).get("white");
            double[] codes = Golden.numbers(((Map<?, ?>) one).get("codes"));
            ColourConversion conversion = new ColourConversion(matrix, white);
            for (int i = 0; i < count; i++) {
                int argb = conversion.argb((float) rgb[i], (float) rgb[count + i],
                        (float) rgb[2 * count + i]);
                assertEquals(0xFF, argb >>> 24);
                for (int colour = 0; colour < 3; colour++) {
                    int code = argb >> 16 - 8 * colour & 0xFF;
                    assertEquals(codes[3 * i + colour], code, 1);
                    equal += codes[3 * i + colour] == code ? 1 : 0;
                }
            }
        }
        assertTrue("equal codes: " + equal, equal > 0.98 * 6 * count);
    }

    @Test
    public void greysStayGreyAndWhiteIsWhite() {
        double[] identity = {1, 0, 0, 0, 1, 0, 0, 0, 1};
        ColourConversion conversion = new ColourConversion(identity, 1);
        assertEquals(0xFF000000, conversion.argb(-0.1f, -0.1f, -0.1f));
        assertEquals(0xFFFFFFFF, conversion.argb(1.2f, 1.2f, 1.2f));
        for (float light = 0; light < 1; light += 0.01f) {
            int argb = conversion.argb(light, light, light);
            assertEquals((argb & 0xFF) * 0x010101, argb & 0xFFFFFF);
        }
    }
}
