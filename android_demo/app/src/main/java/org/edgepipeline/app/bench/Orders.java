package org.edgepipeline.app.bench;

import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;
import org.edgepipeline.app.runner.Tensor;

/**
 * Executes one order of the host: describe, load, run, memory, outputs or clean.
 *
 * <p>The answers to load, run, memory and outputs are those of edge_pipeline/harness/worker.py, so
 * the host measures the app in its own rounds. Each order has a process of its own, because the
 * system starts one for each `am instrument`; so `run` warms up first, if it is told to.
 */
final class Orders {
    /** Number that changes if the orders change. */
    static final int PROTOCOL = 1;

    private static final int MOST_RUNS = 10_000;

    private final Request request;
    private final Phone phone;
    private final Engines engines;
    private final Places places;

    Orders(Request request, Phone phone, Engines engines, Places places) {
        this.request = request;
        this.phone = phone;
        this.engines = engines;
        this.places = places;
    }

    /**
     * Executes the order.
     *
     * @param order name of the order
     * @return the answer, which is JSON
     * @throws AppException if it cannot be executed
     */
    Map<String, Object> answer(String order) throws AppException {
        Map<String, Object> answer = new LinkedHashMap<>();
        if (order.equals("describe")) {
            answer.put("protocol", PROTOCOL);
            answer.put("app", phone.appVersion());
            answer.put("backends", engines.versions());
            return answer;
        }
        if (order.equals("clean")) {
            output().removeAll();
            return answer;
        }
        if (!Arrays.asList("load", "run", "memory", "outputs").contains(order)) {
            throw new RunException("The extra order must be describe, load, run, memory, outputs or"
                    + " clean, got " + order + ".");
        }
        File folder = places.folders(Arrays.asList(request.required("artifact"))).get(0);
        Job job = Job.of(folder, request.required("program"));
        try (Program program = new Program(job, engines, phone)) {
            if (order.equals("memory")) {
                Memory memory = program.memory();
                answer.put("memory", memory == null ? null : memory.toJson());
                return answer;
            }
            Subject.Loaded loaded = program.load();
            answer.put("import_ns", loaded.importNs);
            answer.put("init_ns", loaded.initNs);
            answer.put("versions", versions(job));
            if (order.equals("run")) {
                addRuns(program, answer);
            } else if (order.equals("outputs")) {
                addOutputs(job, program, answer);
            }
            return answer;
        }
    }

    private OutputFolder output() throws AppException {
        return OutputFolder.of(places.measurements(), request.required("output"));
    }

    private Map<String, Object> versions(Job job) throws AppException {
        String backend = job.artifact.manifest.backend;
        Map<String, Object> versions = new LinkedHashMap<>();
        versions.put("edge-pipeline app", phone.appVersion());
        versions.put(backend, engines.load(backend));
        versions.put("delegate", engines.delegate(backend));
        return versions;
    }

    private void addRuns(Program program, Map<String, Object> answer) throws AppException {
        int count = request.whole("runs", 1, 1, MOST_RUNS);
        int warmup = request.whole("warmup", 0, 0, MOST_RUNS);
        Protocol.Warmup done = Protocol.warmUp(program, warmup, new Silent());
        List<List<Long>> runs = new ArrayList<>();
        for (Subject.TimedRun run : program.run(count)) {
            runs.add(Arrays.asList(run.elapsedNs, run.preemptions));
        }
        answer.put("runs", runs);
        answer.put("warmup_runs", done.runs);
        answer.put("warmup_stable", done.isStable);
        answer.put("thermal_status", phone.readings().statusText());
    }

    private void addOutputs(Job job, Program program, Map<String, Object> answer)
            throws AppException {
        Map<String, Tensor> found = program.outputs();
        File file = output().writeTensors(Measurement.outputName(job), found);
        answer.put("outputs", file.getPath());
        answer.put("verification", Comparison.toJson(Comparison.of(job, found)));
    }

    /** Is told about rounds of an order, which is short. */
    private static final class Silent implements Protocol.Listener {
        @Override
        public void onStep(Protocol.Phase phase, int done, int total) {}

        @Override
        public void onRound(Protocol.Phase phase, List<List<Subject.TimedRun>> runs) {}
    }
}
