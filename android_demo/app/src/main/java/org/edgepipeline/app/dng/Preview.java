package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;
import java.util.List;

/** Finds the camera's own JPEG in a DNG file. Source: DNG 1.6, NewSubFileType and Compression. */
final class Preview {
    private static final int OLD_JPEG = 6;
    private static final int JPEG = 7;
    private static final int LEAST_BYTES = 128;

    private Preview() {}

    /**
     * Returns the largest JPEG of 8 bits, or null.
     *
     * @param data content of the file
     * @param directories its directories
     */
    static ByteBuffer of(ByteBuffer data, List<TiffDirectory> directories) {
        ByteBuffer best = null;
        for (TiffDirectory one : directories) {
            int photometric = one.integer(Tags.PHOTOMETRIC, Tags.PHOTOMETRIC_YCBCR);
            int compression = one.integer(Tags.COMPRESSION, 0);
            double[] offsets = one.numbers(Tags.STRIP_OFFSETS);
            double[] bytes = one.numbers(Tags.STRIP_BYTES);
            boolean isPicture = photometric == Tags.PHOTOMETRIC_YCBCR
                    && (compression == OLD_JPEG || compression == JPEG)
                    && offsets.length == 1 && bytes.length == 1;
            if (!isPicture || !(bytes[0] >= LEAST_BYTES) || !(offsets[0] >= 0)
                    || !(offsets[0] + bytes[0] <= data.limit())) {
                continue;
            }
            ByteBuffer part = data.duplicate();
            part.position((int) offsets[0]).limit((int) (offsets[0] + bytes[0]));
            part = part.slice();
            boolean isJpeg = (part.get(0) & 0xFF) == 0xFF && (part.get(1) & 0xFF) == 0xD8;
            if (isJpeg && (best == null || part.limit() > best.limit())) {
                best = part;
            }
        }
        return best;
    }
}
