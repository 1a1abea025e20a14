package org.edgepipeline.app.dng;

import java.nio.ByteBuffer;
import org.edgepipeline.app.errors.CaptureException;

/** The strips or tiles of a mosaic: their places in the file and in the sensor. */
final class Segments {
    private static final int NONE = 1;
    private static final int JPEG = 7;

    private final ByteBuffer data;
    private final DngReader.Layout layout;
    private final String name;
    private final int compression;
    private final int width;
    private final int height;
    private final double[] offsets;
    private final double[] bytes;

    Segments(ByteBuffer data, TiffDirectory raw, DngReader.Layout layout, String name) {
        this.data = data;
        this.layout = layout;
        this.name = name;
        this.compression = raw.integer(Tags.COMPRESSION, NONE);
        boolean isTiled = raw.entry(Tags.TILE_OFFSETS) != null;
        int rows = raw.integer(Tags.STRIP_ROWS, layout.height);
        width = isTiled ? raw.integer(Tags.TILE_WIDTH, 0) : layout.width;
        height = isTiled ? raw.integer(Tags.TILE_HEIGHT, 0) : Math.min(rows, layout.height);
        offsets = raw.numbers(isTiled ? Tags.TILE_OFFSETS : Tags.STRIP_OFFSETS);
        bytes = raw.numbers(isTiled ? Tags.TILE_BYTES : Tags.STRIP_BYTES);
    }

    /** Throws unless every segment lies inside the file and its bytes suffice for its pixels. */
    void check() throws CaptureException {
        if (compression != NONE && compression != JPEG) {
            throw new CaptureException(name + " has compression " + compression
                    + "; only uncompressed captures and lossless JPEG are supported.");
        }
        if (width < 1 || height < 1 || width > 1 << 17 || height > 1 << 17) {
            throw new CaptureException(name + " states segments of " + width + " x " + height
                    + " pixels; the file is damaged.");
        }
        long count = across() * ((layout.height + height - 1L) / height);
        if (offsets.length != bytes.length || offsets.length < count) {
            throw truncated();
        }
        for (int i = 0; i < count; i++) {
            int rows = Math.min(height, layout.height - (int) (i / across()) * height);
            // A sample of lossless JPEG has a code of at least one bit.
            long least = compression == JPEG ? (long) rows * visible(i) / 8 : rowBytes() * rows;
            if (offsets[i] + bytes[i] > data.limit() || bytes[i] < least) {
                throw truncated();
            }
        }
    }

    private long across() {
        return (layout.width + width - 1L) / width;
    }

    private int visible(int index) {
        return Math.min(width, layout.width - (int) (index % across()) * width);
    }

    private long rowBytes() {
        return ((long) width * layout.bits + 7) / 8;
    }

    private CaptureException truncated() {
        return new CaptureException(
                name + " is truncated or damaged; copy it from the camera again.");
    }

    /** Decodes all segments into an image. */
    void decode(RawImage image) throws CaptureException {
        int across = (int) across();
        int count = across * ((layout.height + height - 1) / height);
        for (int i = 0; i < count; i++) {
            int top = i / across * height;
            int left = i % across * width;
            Target target = new Target(image, top, left, width,
                    Math.min(height, layout.height - top), visible(i));
            ByteBuffer part = data.duplicate().order(data.order());
            part.position((int) offsets[i]).limit((int) (offsets[i] + bytes[i]));
            if (compression == JPEG) {
                new LosslessJpeg(part.slice(), name).decode(target);
            } else {
                Uncompressed.decode(part.slice().order(data.order()), layout.bits, target);
            }
        }
    }

    /** The place of a segment in the sensor; it accepts samples in the order of the segment. */
    static final class Target {
        final int width;
        final int height;
        private final RawImage image;
        private final int top;
        private final int left;
        private final int visible;
        private int row;
        private int column;

        Target(RawImage image, int top, int left, int width, int height, int visible) {
            this.image = image;
            this.top = top;
            this.left = left;
            this.width = width;
            this.height = height;
            this.visible = visible;
        }

        /** Stores the next samples; rows of the decoder may differ from those of the segment. */
        void store(int[] samples, int count) {
            int from = 0;
            while (from < count && row < height) {
                int run = Math.min(count - from, width - column);
                int seen = Math.min(run, visible - column);
                if (seen > 0) {
                    image.store(top + row, left + column, samples, from, seen);
                }
                from += run;
                column += run;
                if (column == width) {
                    column = 0;
                    row++;
                }
            }
        }

        /** Returns whether all rows were stored. */
        boolean isFull() {
            return row >= height;
        }
    }
}
