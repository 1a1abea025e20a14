package org.edgepipeline.app.dng;

/** The white balance that makes the mean of the unsaturated picture grey. */
final class GreyWorld {
    private GreyWorld() {}

    /**
     * Returns multipliers of red, green and blue; ones if a channel has no light.
     *
     * <p>Cells of 2 x 2 pixels with a saturated pixel are ignored.
     */
    static double[] gains(RawImage image, Levels levels) {
        double[] sums = new double[4];
        long count = 0;
        int top = levels.cfa.redRow;
        int left = levels.cfa.redColumn;
        for (int row = top; row + 1 < image.height; row += 2) {
            for (int column = left; column + 1 < image.width; column += 2) {
                int place = row * image.width + column;
                int red = image.values[place] & 0xFFFF;
                int green = image.values[place + 1] & 0xFFFF;
                int other = image.values[place + image.width] & 0xFFFF;
                int blue = image.values[place + image.width + 1] & 0xFFFF;
                if (Math.max(Math.max(red, green), Math.max(other, blue)) < levels.white) {
                    sums[0] += red;
                    sums[1] += green;
                    sums[2] += other;
                    sums[3] += blue;
                    count++;
                }
            }
        }
        for (int plane = 0; plane < 4; plane++) {
            sums[plane] = sums[plane] / count - levels.black[plane];
            if (!(sums[plane] > 0)) {
                return new double[] {1, 1, 1};
            }
        }
        double green = (sums[1] + sums[2]) / 2;
        return new double[] {green / sums[0], 1, green / sums[3]};
    }
}
