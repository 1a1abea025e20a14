package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Adds a camera's JPEG and exposure to a little-endian DNG with one directory. */
public final class PreviewDng {
    private PreviewDng() {}

    /** Returns the content with a second directory for the JPEG, and a third one for EXIF data. */
    public static byte[] of(byte[] dng, byte[] jpeg) {
        int start = dng.length + dng.length % 2;
        int exif = start + 2 + 12 * 5 + 4;
        int text = exif + 2 + 12 * 4 + 4;
        int ratios = text + 20;
        int picture = ratios + 16;
        ByteBuffer made = ByteBuffer.allocate(picture + jpeg.length);
        made.order(ByteOrder.LITTLE_ENDIAN).put(dng);
        int first = made.getInt(4);
        made.putInt(first + 2 + 12 * made.getShort(first), start);
        made.position(start);
        made.putShort((short) 5);
        entry(made, 259, 3, 1, 7);
        entry(made, 262, 3, 1, 6);
        entry(made, 273, 4, 1, picture);
        entry(made, 279, 4, 1, jpeg.length);
        entry(made, 34665, 4, 1, exif);
        made.putInt(0);
        made.putShort((short) 4);
        entry(made, 33434, 5, 1, ratios);
        entry(made, 33437, 5, 1, ratios + 8);
        entry(made, 34855, 3, 1, 200);
        entry(made, 36867, 2, 20, text);
        made.putInt(0);
        made.put("2026:11:23 03:00:00\0".getBytes());
        made.putInt(1).putInt(125).putInt(18).putInt(10).put(jpeg);
        return made.array();
    }

    private static void entry(ByteBuffer made, int tag, int type, int count, int value) {
        made.putShort((short) tag).putShort((short) type).putInt(count).putInt(value);
    }
}
