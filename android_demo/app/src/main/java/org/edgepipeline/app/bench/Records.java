package org.edgepipeline.app.bench;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.runner.Tensor;

/** Records of measurements in the schema of edge_pipeline/record/measurement.py, version 2. */
final class Records {
    private static final int VERSION = 2;

    /** Values that all records of one measurement share. */
    static final class Session {
        final String name;
        final int threads;
        final String started;
        final Readings before;
        Readings after;

        Session(String name, int threads, String started, Readings before) {
            this.name = name;
            this.threads = threads;
            this.started = started;
            this.before = before;
        }
    }

    private final Phone phone;
    private final Engines engines;
    private final Session session;

    Records(Phone phone, Engines engines, Session session) {
        this.phone = phone;
        this.engines = engines;
        this.session = session;
    }

    /** Returns the record of one program; `memory` and `comparison` may be null. */
    Map<String, Object> of(Job job, Timing timing, Memory memory, Comparison comparison)
            throws AppException {
        Map<String, Object> record = new LinkedHashMap<>();
        record.put("schema_version", VERSION);
        record.put("session", session.name);
        addProgram(job, record);
        addTimes(timing, record);
        record.put("memory", memory == null ? null : only("peak_bytes", memory.addedBytes()));
        record.put("memory_detail", memory == null ? null : memory.toJson());
        record.put("verification", Comparison.toJson(comparison));
        record.put("quality", job.details.quality);
        record.put("environment", phone.environment());
        record.put("sensors_before", session.before.toJson());
        record.put("sensors_after", session.after.toJson());
        record.put("throttled", throttled());
        Map<String, Object> versions = new LinkedHashMap<>();
        versions.put("edge-pipeline app", phone.appVersion());
        versions.put(runtime(job), engines.load(job.artifact.manifest.backend));
        record.put("versions", versions);
        record.put("warnings", warnings(timing));
        record.put("measured", session.started);
        return record;
    }

    private static Map<String, Object> only(String key, Object value) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put(key, value);
        return found;
    }

    private static String runtime(Job job) {
        return job.artifact.manifest.backend.equals("onnx") ? "ONNX Runtime" : "TensorFlow Lite";
    }

    private void addProgram(Job job, Map<String, Object> record) throws AppException {
        ProgramSpec program = job.program;
        String backend = job.artifact.manifest.backend;
        record.put("artifact", job.artifact.folder.getPath());
        record.put("artifact_digest", job.artifact.digest);
        record.put("program", program.name);
        record.put("model", job.details.model);
        record.put("backend", backend);
        record.put("precision", job.details.precision);
        record.put("filters", job.artifact.manifest.filters);
        record.put("fixed", job.details.fixed(program));
        record.put("device", phone.name());
        record.put("runner", "edge-pipeline app " + phone.appVersion() + " (" + runtime(job) + ", "
                + engines.delegate(backend) + ")");
        record.put("emulated", false);
        record.put("threads", session.threads);
        Map<String, Object> shapes = new LinkedHashMap<>();
        for (Map.Entry<String, Tensor> entry : job.reference.inputs.entrySet()) {
            List<Integer> shape = new ArrayList<>();
            for (int size : entry.getValue().shape) {
                shape.add(size);
            }
            shapes.put(entry.getKey(), shape);
        }
        record.put("input_shapes", shapes);
        record.put("macs", program.macs);
        record.put("flops", job.details.flops(program));
        record.put("model_bytes", job.details.bytes(program));
    }

    private static void addTimes(Timing timing, Map<String, Object> record) {
        List<Double> samples = new ArrayList<>();
        for (double sample : timing.samplesMs) {
            samples.add(sample);
        }
        record.put("import_ms", timing.importMs);
        record.put("init_ms", timing.initMs);
        record.put("first_inference_ms", timing.firstMs);
        record.put("num_warmup_runs", timing.warmupRuns);
        record.put("warmup_stable", timing.isStable);
        record.put("num_runs", samples.size());
        record.put("latency", Statistics.summarise(timing.samplesMs));
        record.put("samples_ms", samples);
        record.put("preempted_runs", timing.preemptedRuns);
    }

    private Boolean throttled() {
        Boolean before = session.before.isThrottled();
        Boolean after = session.after.isThrottled();
        if (before == null && after == null) {
            return null;
        }
        return Boolean.TRUE.equals(before) || Boolean.TRUE.equals(after);
    }

    private List<String> warnings(Timing timing) {
        List<String> found = new ArrayList<>();
        found.add("the program was not pinned to processors");
        if (Boolean.TRUE.equals(throttled())) {
            found.add("the phone throttled during the measurement");
        }
        if (Boolean.FALSE.equals(timing.isStable)) {
            found.add("the times did not become stable in the warm-up");
        }
        return found;
    }
}
