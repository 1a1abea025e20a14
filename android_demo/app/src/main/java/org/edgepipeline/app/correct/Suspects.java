package org.edgepipeline.app.correct;

import java.util.Arrays;

/** Pixels that are suspected of being defective, in the order of their places. */
final class Suspects {
    int count;
    /** Row times width plus column. */
    int[] places = new int[64];
    /** Interpolated signals. */
    float[] values = new float[64];
    /** How far the deviation exceeds those of the texture around, more than 0.5. */
    float[] scores = new float[64];
    /** Whether the pixel is too bright; otherwise, it is too dark. */
    boolean[] hot = new boolean[64];
    /** Whether another pixel close by deviates too. */
    boolean[] cluster = new boolean[64];

    void add(int place, float value, float score, boolean isHot, boolean isCluster) {
        if (count == places.length) {
            int more = count + count / 2;
            places = Arrays.copyOf(places, more);
            values = Arrays.copyOf(values, more);
            scores = Arrays.copyOf(scores, more);
            hot = Arrays.copyOf(hot, more);
            cluster = Arrays.copyOf(cluster, more);
        }
        places[count] = place;
        values[count] = value;
        scores[count] = score;
        hot[count] = isHot;
        cluster[count++] = isCluster;
    }
}
