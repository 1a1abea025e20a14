package org.edgepipeline.app.segment;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.artifact.Manifest;
import org.edgepipeline.app.errors.ArtifactException;

/** The names and colours of a segmenter's labels. */
public final class LabelNames {
    /** Source: M. Okabe, K. Ito, Color Universal Design, 2008, brightened. */
    private static final int[] FIRST = {
        0x00C878, 0xE69F00, 0x56B4E9, 0xF05A1E, 0xCC79A7, 0xF0E442, 0x3C6EDC,
    };
    /** Further colours are hues at multiples of the golden ratio. */
    private static final double TURN = 0.61803398875;

    /** Name of each label; the index is the value in a mask. */
    public final List<String> names;
    /** Whether label 0 is the background. */
    public final boolean hasBackground;

    private LabelNames(List<String> names, boolean hasBackground) {
        this.names = Collections.unmodifiableList(names);
        this.hasBackground = hasBackground;
    }

    /**
     * Returns the names of an artifact; numbers if it states none.
     *
     * @param manifest manifest of a segmenter
     * @param count number of its labels
     * @throws ArtifactException if the manifest has another number of names
     */
    static LabelNames of(Manifest manifest, int count) throws ArtifactException {
        boolean hasBackground = manifest.background == null ? count == 2 : manifest.background;
        List<String> names = new ArrayList<>(manifest.labels);
        for (int label = 0; label < count && manifest.labels.isEmpty(); label++) {
            names.add(label == 0 && hasBackground ? "background" : "label " + label);
        }
        if (names.size() != count) {
            throw new ArtifactException("The artifact names " + names.size()
                    + " labels and computes " + count + "; compile it again.");
        }
        return new LabelNames(names, hasBackground);
    }

    /** Returns the colour of a label as 0xRRGGBB; black for the background. */
    int colour(int label) {
        int number = hasBackground ? label - 1 : label;
        if (number < FIRST.length) {
            return number < 0 ? 0 : FIRST[number];
        }
        int colour = 0;
        for (int channel = 0; channel < 3; channel++) {
            double angle = 2 * Math.PI * (number * TURN + channel / 3.0);
            colour = colour << 8 | (int) Math.rint(140 + 115 * Math.cos(angle));
        }
        return colour;
    }

    /** Returns the shares of the pixels by label, 0 to 1, without background and unused labels. */
    public Map<String, Double> shares(byte[] labels) {
        long[] counts = new long[256];
        for (byte label : labels) {
            counts[label & 0xFF]++;
        }
        Map<String, Double> found = new LinkedHashMap<>();
        for (int label = hasBackground ? 1 : 0; label < names.size(); label++) {
            if (counts[label] > 0) {
                double own = (double) counts[label] / labels.length;
                Double before = found.get(names.get(label));
                found.put(names.get(label), before == null ? own : before + own);
            }
        }
        return found;
    }
}
