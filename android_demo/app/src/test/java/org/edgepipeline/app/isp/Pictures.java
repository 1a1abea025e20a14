package org.edgepipeline.app.isp;

import java.awt.image.BufferedImage;
import java.io.File;
import java.io.IOException;
import javax.imageio.ImageIO;

/** A picture in memory, and comparisons of pictures. */
final class Pictures implements PictureSink {
    int[] argb;
    int width;
    int height;

    @Override
    public void begin(int wide, int high) {
        width = wide;
        height = high;
        argb = new int[wide * high];
    }

    @Override
    public void put(int[] block, int left, int top, int wide, int high) {
        for (int row = 0; row < high; row++) {
            System.arraycopy(block, row * wide, argb, (top + row) * width + left, wide);
        }
    }

    static Pictures read(File file) throws IOException {
        BufferedImage image = ImageIO.read(file);
        Pictures picture = new Pictures();
        picture.begin(image.getWidth(), image.getHeight());
        image.getRGB(0, 0, picture.width, picture.height, picture.argb, 0, picture.width);
        return picture;
    }

    /** Returns the PSNR against another picture in dB, peak 255. */
    double psnr(Pictures other) {
        if (width != other.width || height != other.height) {
            throw new AssertionError(width + " x " + height + ", expected " + other.width + " x "
                    + other.height);
        }
        double sum = 0;
        for (int i = 0; i < argb.length; i++) {
            for (int shift = 0; shift < 24; shift += 8) {
                int difference = (argb[i] >> shift & 0xFF) - (other.argb[i] >> shift & 0xFF);
                sum += difference * difference;
            }
        }
        return 10 * Math.log10(255 * 255 / (sum / (3.0 * argb.length)));
    }

    /** Returns the largest difference of a channel, in codes of 255. */
    int largestDifference(Pictures other) {
        int most = 0;
        for (int i = 0; i < argb.length; i++) {
            for (int shift = 0; shift < 24; shift += 8) {
                int difference = (argb[i] >> shift & 0xFF) - (other.argb[i] >> shift & 0xFF);
                most = Math.max(most, Math.abs(difference));
            }
        }
        return most;
    }
}
