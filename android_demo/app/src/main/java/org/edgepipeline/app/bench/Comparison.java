package org.edgepipeline.app.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.runner.Tensor;

/**
 * Comparison of outputs with the reference, with the limits of edge_pipeline/compare.py.
 *
 * <p>A test compares its figures with those of compare.py. The host compares the outputs again.
 */
final class Comparison {
    private static final double ROUNDING_DB = 114;
    private static final double SINGLE_DB = 20 * Math.log10(3);

    /** Limits of a precision; infinity for a limit that does not apply. */
    private static final class Limits {
        final double relative;
        final double srgb;
        final double psnr;
        final double noise;

        Limits(double relative, double srgb, double psnr, double noise) {
            this.relative = relative;
            this.srgb = srgb;
            this.psnr = psnr;
            this.noise = noise;
        }

        static Limits of(String precision) {
            double none = Double.POSITIVE_INFINITY;
            switch (precision) {
                case "fp32":
                    return new Limits(1e-4, 1e-4, -none, 1e-4);
                case "fp16":
                    return new Limits(1e-2, none, 60, none);
                default:
                    return new Limits(0.5, none, 30, none);
            }
        }
    }

    private final Limits limits;
    private final List<String> complaints = new ArrayList<>();
    private double maxAbs;
    private double maxRel;
    private double psnr = Double.POSITIVE_INFINITY;

    private Comparison(String precision) {
        limits = Limits.of(precision);
    }

    /** Compares the outputs of a job with its reference; null if that is not the network's own. */
    static Comparison of(Job job, Map<String, Tensor> found) throws AppException {
        if (!job.details.isChecked) {
            return null;
        }
        Comparison comparison = new Comparison(job.details.precision);
        String space = job.artifact.manifest.outputSpace;
        String picture = job.artifact.manifest.path().outputs.get(0).name;
        for (Map.Entry<String, Tensor> entry : job.reference.outputs.entrySet()) {
            String name = entry.getKey();
            comparison.add(name, entry.getValue(), found.get(name),
                    job.details.range(job.program, name),
                    name.equals(picture) ? space : "",
                    job.details.variation(job.program, name));
        }
        return comparison;
    }

    /** Compares one output; `range` and `variation` may be null. */
    static Comparison ofOne(String precision, Tensor expected, Tensor found, double[] range,
            String space, Double variation) {
        Comparison comparison = new Comparison(precision);
        comparison.add("output", expected, found, range, space, variation);
        return comparison;
    }

    private void add(String name, Tensor expected, Tensor found, double[] range, String space,
            Double variation) {
        if (found == null || found.values.length != expected.values.length) {
            complaints.add(name + " has another shape than its reference");
            return;
        }
        double error = 0;
        double squares = 0;
        double srgb = 0;
        double low = Double.POSITIVE_INFINITY;
        double high = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < expected.values.length; i++) {
            double right = expected.values[i];
            double own = found.values[i];
            if (!(Math.abs(own) <= Float.MAX_VALUE)) {
                complaints.add(name + " has values that are not finite");
                return;
            }
            error = Math.max(error, Math.abs(own - right));
            squares += (own - right) * (own - right);
            low = Math.min(low, right);
            high = Math.max(high, right);
            srgb = Math.max(srgb, Math.abs(encoded(own, space) - encoded(right, space)));
        }
        double scale = orOne(Math.max(Math.abs(low), Math.abs(high)));
        double rmse = Math.sqrt(squares / expected.values.length);
        double span = range == null ? high - low : range[1] - range[0];
        double own = Math.max(0, high) - Math.min(0, low);
        own = own > 0 ? own : scale;
        maxAbs = Math.max(maxAbs, error);
        maxRel = Math.max(maxRel, error / scale);
        psnr = Math.min(psnr, decibels(span > 0 ? span : scale, rmse));
        String complaint = complaint(error / scale, srgb, decibels(own, rmse),
                variation == null ? null : (Double) (variation / own),
                expected.values.length == 1);
        if (complaint != null) {
            complaints.add(name + ": " + complaint);
        }
    }

    private static double orOne(double value) {
        return value > 0 ? value : 1;
    }

    private static double decibels(double peak, double rmse) {
        return rmse > 0 ? 20 * Math.log10(peak / rmse) : Double.POSITIVE_INFINITY;
    }

    /** Returns a value of a picture as sRGB, of which people see differences; 0 for others. */
    private static double encoded(double value, String space) {
        double clipped = Math.max(0, Math.min(1, value));
        if (space.equals("srgb")) {
            return clipped;
        }
        if (!space.equals("camera_linear")) {
            return 0;
        }
        return clipped <= 0.0031308
                ? 12.92 * clipped : 1.055 * Math.pow(clipped, 1 / 2.4) - 0.055;
    }

    /** Returns a clause that names the exceeded limit; null if none is exceeded. */
    private String complaint(double relative, double srgb, double own, Double varied,
            boolean isSingle) {
        if (!(relative < limits.relative)) {
            return text("relative error %.2g is not below %.2g", relative, limits.relative);
        }
        if (!(srgb < limits.srgb)) {
            return text("error in sRGB %.2g is not below %.2g", srgb, limits.srgb);
        }
        double least = limits.psnr - (isSingle ? SINGLE_DB : 0);
        if (!(own > least)) {
            return text("PSNR %.1f dB is not above %.1f dB", own, least);
        }
        if (varied == null || own > ROUNDING_DB || Double.isInfinite(limits.noise)) {
            return null;
        }
        double share = varied > 0 ? Math.pow(10, -own / 20) / varied : Double.POSITIVE_INFINITY;
        return share < limits.noise ? null
                : text("error over the output's variation %.2g is not below %.2g", share,
                        limits.noise);
    }

    private static String text(String form, double value, double limit) {
        return String.format(Locale.ROOT, form, value, limit);
    }

    boolean isPassed() {
        return complaints.isEmpty();
    }

    double maxAbs() {
        return maxAbs;
    }

    double maxRel() {
        return maxRel;
    }

    /** Returns the lowest PSNR of an output in dB; infinite if nothing differs. */
    double psnr() {
        return psnr;
    }

    /** Returns clauses that name the exceeded limits; empty if none is exceeded. */
    String complaint() {
        return String.join("; ", complaints);
    }

    /** Returns the verification as in a record. */
    static Map<String, Object> toJson(Comparison comparison) {
        Map<String, Object> found = new LinkedHashMap<>();
        if (comparison == null) {
            found.put("result", "not_run");
            return found;
        }
        found.put("result", comparison.isPassed() ? "passed" : "failed");
        found.put("max_abs", comparison.maxAbs);
        found.put("max_rel", comparison.maxRel);
        found.put("psnr_db", Double.isInfinite(comparison.psnr) ? null : (Double) comparison.psnr);
        found.put("complaint", comparison.isPassed() ? null : comparison.complaint());
        return found;
    }
}
