package org.edgepipeline.app.jpeg;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * Puts EXIF data and a colour profile into a JPEG; its coded pixels stay as they are.
 *
 * <p>Source: ITU-T T.81, annex B; EXIF 2.32, section 4.7.2; ICC.1:2022, annex B.4.
 */
public final class Jpeg {
    private static final int START = 0xFFD8;
    private static final int JFIF = 0xFFE0;
    private static final int EXIF = 0xFFE1;
    private static final int ICC = 0xFFE2;
    private static final int SCAN = 0xFFDA;
    private static final int LARGEST = 65533;
    private static final byte[] EXIF_NAME =
            "Exif\0\0".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] ICC_NAME =
            "ICC_PROFILE\0\1\1".getBytes(StandardCharsets.US_ASCII);

    private Jpeg() {}

    /**
     * Copies a JPEG with other metadata; EXIF data and profiles that it has are left out.
     *
     * @param source the JPEG
     * @param exif EXIF block from its byte order on
     * @param profile ICC profile of at most 65519 bytes
     * @param target receives the JPEG
     * @throws IOException if the source is not a JPEG, or a stream fails
     */
    public static void write(InputStream source, byte[] exif, byte[] profile, OutputStream target)
            throws IOException {
        DataInputStream data = new DataInputStream(source);
        if (data.readUnsignedShort() != START) {
            throw new IOException("not a JPEG");
        }
        marker(target, START);
        ByteArrayOutputStream kept = new ByteArrayOutputStream();
        int marker = data.readUnsignedShort();
        while (marker != SCAN) {
            byte[] content = new byte[data.readUnsignedShort() - 2];
            data.readFully(content);
            if (marker == JFIF) {
                segment(target, marker, content);
            } else if (marker != EXIF && marker != ICC) {
                segment(kept, marker, content);
            }
            marker = data.readUnsignedShort();
        }
        segment(target, EXIF, joined(EXIF_NAME, exif));
        segment(target, ICC, joined(ICC_NAME, profile));
        kept.writeTo(target);
        marker(target, SCAN);
        byte[] part = new byte[1 << 16];
        for (int count = data.read(part); count > 0; count = data.read(part)) {
            target.write(part, 0, count);
        }
    }

    private static byte[] joined(byte[] first, byte[] second) {
        byte[] joined = new byte[first.length + second.length];
        System.arraycopy(first, 0, joined, 0, first.length);
        System.arraycopy(second, 0, joined, first.length, second.length);
        return joined;
    }

    private static void marker(OutputStream target, int marker) throws IOException {
        target.write(marker >> 8);
        target.write(marker);
    }

    private static void segment(OutputStream target, int marker, byte[] content)
            throws IOException {
        if (content.length > LARGEST) {
            throw new IOException("a segment of " + content.length + " bytes");
        }
        marker(target, marker);
        marker(target, content.length + 2);
        target.write(content);
    }
}
