package org.edgepipeline.app.dng;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.List;
import org.edgepipeline.app.errors.CaptureException;

/**
 * Reads Bayer captures from DNG files, as phones write them: uncompressed with 8 to 16 bits, or
 * lossless JPEG, in strips or tiles.
 *
 * <p>A damaged file causes a {@link CaptureException}. Source: DNG specification 1.6.
 */
public final class DngReader {
    /** Largest number of pixels of a sensor that is decoded by default. */
    public static final long MOST_PIXELS = 120_000_000;

    private static final int LEAST_SIDE = 2;

    private final String name;
    private final long mostPixels;

    /**
     * Creates a reader.
     *
     * @param name name of the capture for messages
     * @param mostPixels number of pixels above which a capture is refused before it is decoded
     */
    public DngReader(String name, long mostPixels) {
        this.name = name;
        this.mostPixels = mostPixels;
    }

    /**
     * Reads a file, which is mapped rather than copied.
     *
     * @param file file to read
     * @return the capture
     * @throws CaptureException if the file cannot be read or is not a Bayer DNG
     */
    public static Capture read(File file) throws CaptureException {
        return read(file, file.getName());
    }

    /**
     * Reads a file, which is mapped rather than copied.
     *
     * @param file file to read
     * @param name name of the capture for messages
     * @return the capture
     * @throws CaptureException if the file cannot be read or is not a Bayer DNG
     */
    public static Capture read(File file, String name) throws CaptureException {
        try (RandomAccessFile opened = new RandomAccessFile(file, "r");
                FileChannel channel = opened.getChannel()) {
            if (channel.size() > Integer.MAX_VALUE) {
                throw new CaptureException(name + " is larger than 2 GB; give a smaller capture.");
            }
            ByteBuffer data = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
            return new DngReader(name, MOST_PIXELS).read(data);
        } catch (IOException error) {
            throw new CaptureException(name + " cannot be read; copy it from the camera again.");
        }
    }

    /**
     * Reads the content of a file.
     *
     * @param data content; its byte order is set
     * @return the capture
     * @throws CaptureException if the content is not a Bayer DNG, is damaged, or is too large
     */
    public Capture read(ByteBuffer data) throws CaptureException {
        List<TiffDirectory> directories = TiffReader.read(data);
        if (directories.isEmpty()) {
            throw new CaptureException(name + " is not a DNG file; give the camera's own DNG.");
        }
        TiffDirectory main = directories.get(0);
        TiffDirectory raw = rawOf(directories);
        Layout layout = layoutOf(raw);
        Levels levels = Levels.read(raw, layout.bits, name);
        Segments segments = new Segments(data, raw, layout, name);
        segments.check();
        RawImage image = new RawImage(layout.area, levels.linear);
        segments.decode(image);
        double least = Math.min(
                Math.min(levels.black[0], levels.black[1]),
                Math.min(levels.black[2], levels.black[3]));
        image.checkTail(least, name);
        Colours colours = new Colours(main, raw);
        colours.completeWith(image, levels);
        int orientation = main.integer(Tags.ORIENTATION, raw.integer(Tags.ORIENTATION, 1));
        return new Capture(levels, colours, image,
                orientation < 1 || orientation > 8 ? 1 : orientation,
                new Shot(directories), Preview.of(data, directories));
    }

    /** Returns the largest directory that contains a mosaic. */
    private TiffDirectory rawOf(List<TiffDirectory> directories) throws CaptureException {
        TiffDirectory best = null;
        boolean isLinear = false;
        boolean isDng = false;
        double area = 0;
        for (TiffDirectory one : directories) {
            int photometric = one.integer(Tags.PHOTOMETRIC, -1);
            isLinear |= photometric == Tags.PHOTOMETRIC_LINEAR;
            isDng |= one.entry(Tags.DNG_VERSION) != null;
            double own = one.number(Tags.WIDTH, 0) * one.number(Tags.HEIGHT, 0);
            if (photometric == Tags.PHOTOMETRIC_CFA && own > area) {
                best = one;
                area = own;
            }
        }
        if (best == null && isLinear) {
            throw new CaptureException(
                    name + " is a linear DNG, already demosaiced; give the camera's own capture.");
        }
        if (best == null || !isDng) {
            throw new CaptureException(name + " has no Bayer capture; give the camera's own DNG.");
        }
        return best;
    }

    private Layout layoutOf(TiffDirectory raw) throws CaptureException {
        int width = raw.integer(Tags.WIDTH, 0);
        int height = raw.integer(Tags.HEIGHT, 0);
        int bits = raw.integer(Tags.BITS, 0);
        if (width < LEAST_SIDE || height < LEAST_SIDE) {
            throw new CaptureException(
                    name + " states " + width + " x " + height + " pixels; the file is damaged.");
        }
        if ((long) width * height > mostPixels) {
            throw new CaptureException(name + " has " + width + " x " + height
                    + " pixels; the limit is " + mostPixels / 1_000_000 + " million pixels.");
        }
        if (bits < 8 || bits > 16 || raw.integer(Tags.SAMPLES, 1) != 1) {
            throw new CaptureException(name + " has " + bits + " bits and "
                    + raw.integer(Tags.SAMPLES, 1)
                    + " values for each pixel; one value of 8 to 16 bits is supported.");
        }
        int[] area = {0, 0, height, width};
        double[] stated = raw.numbers(Tags.ACTIVE_AREA);
        if (stated.length == 4) {
            for (int i = 0; i < 4; i++) {
                area[i] = (int) stated[i];
            }
        }
        boolean isInside = area[0] >= 0 && area[1] >= 0 && area[2] <= height && area[3] <= width
                && area[2] - area[0] >= LEAST_SIDE && area[3] - area[1] >= LEAST_SIDE;
        if (!isInside) {
            throw new CaptureException(name + " states an active area outside its " + width + " x "
                    + height + " pixels; the file is damaged.");
        }
        return new Layout(width, height, bits, area);
    }

    /** Sizes of the sensor: all pixels, and top, left, bottom and right of the active area. */
    static final class Layout {
        final int width;
        final int height;
        final int bits;
        final int[] area;

        Layout(int width, int height, int bits, int[] area) {
            this.width = width;
            this.height = height;
            this.bits = bits;
            this.area = area;
        }
    }
}
