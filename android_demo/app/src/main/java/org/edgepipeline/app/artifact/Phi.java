package org.edgepipeline.app.artifact;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.ArtifactException;

/**
 * The values of phi that an artifact serves, and its programs at each of them.
 *
 * <p>An artifact with one program serves the range of its weight curve. One with several programs
 * serves the range of each; without curves, only the values for which it was compiled.
 */
public final class Phi {
    private static final String NAME = "phi";

    private final Artifact artifact;
    private final List<Part> parts = new ArrayList<>();

    private Phi(Artifact artifact) {
        this.artifact = artifact;
    }

    /**
     * Reads the values of an artifact.
     *
     * @param artifact artifact of a network
     * @throws ArtifactException if a weight curve is damaged
     */
    public static Phi of(Artifact artifact) throws ArtifactException {
        Phi phi = new Phi(artifact);
        Manifest manifest = artifact.manifest;
        boolean hasSeveral = manifest.programs.size() > 1 && !manifest.path().fixed.isEmpty();
        for (ProgramSpec program : manifest.programs) {
            if (!hasSeveral && program != manifest.path()) {
                continue;
            }
            Map<String, Double> fixed = hasSeveral ? program.fixed : manifest.fixed;
            String file = hasSeveral ? program.curve : manifest.curve;
            phi.parts.add(new Part(artifact, program, fixed.get(NAME), file));
        }
        return phi;
    }

    /** Returns whether there is a value to choose. */
    public boolean isFree() {
        return low() < high();
    }

    /** Returns the values for which there are programs of their own, in ascending order. */
    public List<Double> compiled() {
        List<Double> values = new ArrayList<>();
        for (Part part : parts) {
            values.add(part.own);
        }
        return values;
    }

    /** Returns the value of the artifact, the highest of several; NaN if it has none. */
    public double own() {
        return parts.get(parts.size() - 1).own;
    }

    /** Returns the smallest value; NaN if there is none. */
    public double low() {
        return parts.get(0).low;
    }

    /** Returns the largest value; NaN if there is none. */
    public double high() {
        return parts.get(parts.size() - 1).high;
    }

    /** Returns the value that the artifact serves and that is nearest to another one. */
    public double nearest(double wished) {
        double best = own();
        for (Part part : parts) {
            double found = Math.max(part.low, Math.min(part.high, wished));
            // Between ranges, the value that was compiled rather than the end of its range.
            found = found == wished ? found : part.own;
            if (!(Math.abs(found - wished) >= Math.abs(best - wished))) {
                best = found;
            }
        }
        return best;
    }

    /**
     * Returns the program at a value.
     *
     * @param value a value that {@link #nearest} returns
     * @throws AppException if the files do not contain what the manifest lists
     */
    public Variant at(double value) throws AppException {
        Part best = null;
        for (Part part : parts) {
            if (part.own == value || Double.isNaN(part.own)) {
                return new Variant(part.program, part.own, part.program.macs,
                        Collections.<String, byte[]>emptyMap());
            }
            boolean serves = part.low <= value && value <= part.high;
            boolean isNearer = best == null
                    || Math.abs(part.own - value) < Math.abs(best.own - value);
            if (serves && isNearer) {
                best = part;
            }
        }
        if (best == null) {
            throw new ArtifactException(artifact.folder.getName() + " serves phi from " + low()
                    + " to " + high() + ", not " + value + ".");
        }
        return best.at(artifact, value);
    }

    /** One program and its range. */
    private static final class Part {
        final ProgramSpec program;
        final double own;
        final double low;
        final double high;
        private final WeightCurve curve;

        Part(Artifact artifact, ProgramSpec program, Double own, String file)
                throws ArtifactException {
            this.program = program;
            this.own = own == null ? Double.NaN : own;
            WeightCurve found = file == null || own == null ? null
                    : WeightCurve.open(artifact, file);
            this.curve = found != null && found.input.equals(NAME) ? found : null;
            this.low = curve == null ? this.own : Math.min(this.own, curve.low());
            this.high = curve == null ? this.own : Math.max(this.own, curve.high());
        }

        Variant at(Artifact artifact, double value) throws AppException {
            Map<String, byte[]> files =
                    new HashMap<>(Weights.replaced(artifact, program, curve.at(value)));
            if (curve.table == null) {
                return new Variant(program, value, program.macs, files);
            }
            if (program.sizes.isEmpty()) {
                throw new ArtifactException(artifact.folder.getName()
                        + " does not list the places of its map sizes; compile it again.");
            }
            if (!files.containsKey(program.file)) {
                files.put(program.file, artifact.content(program.file));
            }
            long[] row = curve.table.at(value);
            MapSize.replace(program, files.get(program.file), curve.table.at(own), row);
            return new Variant(program, value, curve.table.macs(row, program.macs), files);
        }
    }
}
