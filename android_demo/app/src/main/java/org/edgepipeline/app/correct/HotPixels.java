package org.edgepipeline.app.correct;

import java.util.Arrays;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.isp.Progress;

/**
 * Repairs hot and dead pixels, which do not measure the light that they get.
 *
 * <p>It computes what `edge_pipeline/raw/hot_pixels.py` computes, which explains the method and
 * names its sources.
 */
final class HotPixels {
    private static final int SMALLEST = 12;
    private static final int BAND_ROWS = 64;
    private static final float[] TAILS = {0.2f, 0.7f};
    private static final int[] STARS = {0, 10};
    private static final float[] LEAST = {0.85f, 1};
    private static final double FALSE_SHARE = 0.2;

    /** Number of pixels that were too bright. */
    final int hot;
    /** Number of pixels that were too dark. */
    final int dead;

    private HotPixels(int hot, int dead) {
        this.hot = hot;
        this.dead = dead;
    }

    /**
     * Repairs a capture in place.
     *
     * @param capture capture
     * @param progress can end the work, before anything is changed
     * @return the numbers of repaired pixels
     * @throws CancelledException if the progress ended the work
     */
    static HotPixels repair(Capture capture, Progress progress) throws CancelledException {
        if (Math.min(capture.height, capture.width) < SMALLEST) {
            return new HotPixels(0, 0);
        }
        Sensor sensor = new Sensor(capture);
        float[] slope = new float[4];
        float[] offset = new float[4];
        for (int phase = 0; phase < 4; phase++) {
            Noise noise = Noise.measured(sensor, phase);
            double factor = sensor.scale[phase];
            slope[phase] = (float) noise.slope;
            // Noise that rounding hides is assumed to be one step of the values.
            offset[phase] = (float) Math.max(noise.offset, factor * factor);
        }
        DefectRule rule = new DefectRule(sensor, slope, offset);
        Suspects suspects = new Suspects();
        for (int row = 0; row < capture.height; row++) {
            if (row % BAND_ROWS == 0) {
                progress.report(0, 0);
            }
            rule.examine(row, suspects);
        }
        return replaced(capture, sensor, suspects);
    }

    private static HotPixels replaced(Capture capture, Sensor sensor, Suspects suspects) {
        float single = threshold(suspects, false);
        float clusters = threshold(suspects, true);
        int[] counts = {0, 0};
        for (int i = 0; i < suspects.count; i++) {
            if (suspects.scores[i] >= (suspects.cluster[i] ? clusters : single)) {
                int place = suspects.places[i];
                int phase = Sensor.phase(place / capture.width, place % capture.width);
                double value = suspects.values[i] / sensor.scale[phase] + sensor.black[phase];
                double inside = Math.max(0, Math.min(capture.white, value));
                capture.mosaic[place] = (short) (int) Math.rint(inside);
                counts[suspects.hot[i] ? 0 : 1]++;
            }
        }
        return new HotPixels(counts[0], counts[1]);
    }

    /** Returns the least score that texture seldom has; infinite if texture has all of them. */
    private static float threshold(Suspects suspects, boolean isCluster) {
        int kind = isCluster ? 1 : 0;
        int texture = STARS[kind];
        int count = 0;
        float[] scores = new float[suspects.count];
        for (int i = 0; i < suspects.count; i++) {
            texture += suspects.cluster[i] && suspects.scores[i] < 1 ? 1 : 0;
            if (suspects.cluster[i] == isCluster && suspects.scores[i] >= LEAST[kind]) {
                scores[count++] = suspects.scores[i];
            }
        }
        Arrays.sort(scores, 0, count);
        for (int i = 0; i < count; i++) { // from the lowest score on
            float expected = TAILS[kind] * texture / (scores[i] * scores[i]);
            if (expected <= FALSE_SHARE * (count - i)) {
                return scores[i];
            }
        }
        return Float.POSITIVE_INFINITY;
    }
}
