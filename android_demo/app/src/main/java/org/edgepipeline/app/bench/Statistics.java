package org.edgepipeline.app.bench;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** Statistics of timed runs, as in edge_pipeline/harness/statistics.py. */
final class Statistics {
    private Statistics() {}

    /** Returns the statistics of at least one time in milliseconds, by their names in a record. */
    static Map<String, Object> summarise(double[] samplesMs) {
        double[] sorted = samplesMs.clone();
        Arrays.sort(sorted);
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("median_ms", percentile(sorted, 50));
        found.put("p5_ms", percentile(sorted, 5));
        found.put("p90_ms", percentile(sorted, 90));
        found.put("p95_ms", percentile(sorted, 95));
        found.put("p99_ms", percentile(sorted, 99));
        found.put("min_ms", sorted[0]);
        found.put("max_ms", sorted[sorted.length - 1]);
        double mean = mean(samplesMs);
        found.put("avg_ms", mean);
        found.put("stddev_ms", deviation(samplesMs, mean));
        return found;
    }

    /** Returns a percentile of sorted numbers, interpolated linearly between the two nearest. */
    static double percentile(double[] sorted, double percent) {
        double place = percent / 100 * (sorted.length - 1);
        int below = (int) Math.floor(place);
        double low = sorted[below];
        double high = sorted[Math.min(below + 1, sorted.length - 1)];
        double share = place - below;
        // As NumPy rounds it.
        return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
    }

    /** Returns the median of numbers in any order. */
    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1
                ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static double mean(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum / values.length;
    }

    /** Returns the standard deviation of a sample; 0 for one number. */
    private static double deviation(double[] values, double mean) {
        if (values.length < 2) {
            return 0;
        }
        double sum = 0;
        for (double value : values) {
            sum += (value - mean) * (value - mean);
        }
        return Math.sqrt(sum / (values.length - 1));
    }
}
