package org.edgepipeline.app.jpeg;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.awt.color.ColorSpace;
import java.awt.color.ICC_Profile;
import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.dng.DngReader;
import org.edgepipeline.app.dng.PreviewDng;
import org.junit.Test;

/** Puts metadata into a JPEG of Java's own encoder, and decodes the result. */
public final class JpegTest {
    private static byte[] encoded() throws Exception {
        BufferedImage image = new BufferedImage(40, 30, BufferedImage.TYPE_INT_RGB);
        for (int i = 0; i < 1200; i++) {
            image.setRGB(i % 40, i / 40, i * 1000);
        }
        ByteArrayOutputStream stream = new ByteArrayOutputStream();
        ImageIO.write(image, "jpeg", stream);
        return stream.toByteArray();
    }

    private static byte[] profile() throws Exception {
        return Files.readAllBytes(Golden.repository(
                "android_demo/app/src/main/res/raw/srgb.icc").toPath());
    }

    private static byte[] exif() throws Exception {
        byte[] dng = Files.readAllBytes(Golden.fixture("chart.dng").toPath());
        byte[] preview = new byte[200];
        Capture capture = new DngReader("c", DngReader.MOST_PIXELS)
                .read(ByteBuffer.wrap(PreviewDng.of(dng, preview)));
        return Exif.of(capture.shot, 40, 30);
    }

    private static byte[] written(byte[] jpeg) throws Exception {
        ByteArrayOutputStream target = new ByteArrayOutputStream();
        Jpeg.write(new ByteArrayInputStream(jpeg), exif(), profile(), target);
        return target.toByteArray();
    }

    /** Returns the codes of a JPEG before any conversion of colours. */
    private static int[] codes(byte[] jpeg) throws Exception {
        ImageReader reader = ImageIO.getImageReadersByFormatName("jpeg").next();
        try (ImageInputStream stream =
                ImageIO.createImageInputStream(new ByteArrayInputStream(jpeg))) {
            reader.setInput(stream);
            Raster raster = reader.readRaster(0, null);
            return raster.getPixels(0, 0, raster.getWidth(), raster.getHeight(), (int[]) null);
        } finally {
            reader.dispose();
        }
    }

    @Test
    public void thePixelsStayAndMetadataIsReplaced() throws Exception {
        byte[] once = written(encoded());
        assertArrayEquals(once, written(once));
        assertArrayEquals(codes(encoded()), codes(once));
        String text = new String(once, StandardCharsets.ISO_8859_1);
        int at = text.indexOf("ICC_PROFILE\0\1\1") + 14;
        byte[] found = new byte[profile().length];
        System.arraycopy(once, at, found, 0, found.length);
        assertEquals(ColorSpace.TYPE_RGB, ICC_Profile.getInstance(found).getColorSpaceType());
        assertArrayEquals(profile(), found);
    }

    @Test
    public void exifHasTheExposure() throws Exception {
        ByteBuffer block = ByteBuffer.wrap(exif());
        assertEquals(0x4D4D002A, block.getInt(0));
        int main = block.getInt(4);
        int last = 0;
        int detail = 0;
        for (int i = 0; i < block.getShort(main); i++) {
            int tag = block.getShort(main + 2 + 12 * i) & 0xFFFF;
            assertTrue(tag > last);
            last = tag;
            if (tag == 34665) {
                detail = block.getInt(main + 2 + 12 * i + 8);
            }
        }
        int exposure = detail + 2;
        assertEquals(33434, block.getShort(exposure) & 0xFFFF);
        int place = block.getInt(exposure + 8);
        assertEquals(1, block.getInt(place));
        assertEquals(125, block.getInt(place + 4));
        assertTrue(new String(block.array(), StandardCharsets.US_ASCII)
                .contains("2026:11:23 03:00:00"));
    }

    @Test
    public void otherFilesAreRefused() throws Exception {
        try {
            Jpeg.write(new ByteArrayInputStream(new byte[100]), exif(), profile(),
                    new ByteArrayOutputStream());
            fail("zeros were accepted");
        } catch (IOException expected) {
            assertEquals("not a JPEG", expected.getMessage());
        }
    }
}
