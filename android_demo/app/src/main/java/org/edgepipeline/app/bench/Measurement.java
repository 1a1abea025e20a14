package org.edgepipeline.app.bench;

import java.io.File;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.runner.Tensor;

/**
 * Measures all programs of some artifacts: memory first, then all times together, then outputs.
 *
 * <p>It writes into its folder: `progress.jsonl`, a line per block of rounds while it runs;
 * `records.jsonl`, a record per program at the end; and the outputs of each program for the
 * reference input. After a measurement that was killed, the lines of progress have its runs.
 */
final class Measurement implements Protocol.Listener {
    static final String RECORDS = "records.jsonl";
    static final String PROGRESS = "progress.jsonl";

    private static final int BLOCK = 10;

    /** Is told about progress, and can end the measurement. */
    interface Watcher {
        /** Is called before each step; `total` is 0 if the number of steps is not known. */
        void onStep(String sentence, int done, int total) throws CancelledException;
    }

    /** Result of one program. */
    static final class Result {
        final Job job;
        final Map<String, Object> record;
        final Memory memory;
        final Comparison comparison;

        Result(Job job, Map<String, Object> record, Memory memory, Comparison comparison) {
            this.job = job;
            this.record = record;
            this.memory = memory;
            this.comparison = comparison;
        }
    }

    private final Phone phone;
    private final Engines engines;
    private final OutputFolder output;
    private final Watcher watcher;
    private final Map<String, Long> imports = new HashMap<>();
    private List<Job> jobs;
    private String session;
    private final List<List<Long>> block = new ArrayList<>();
    private int rounds;

    Measurement(Phone phone, Engines engines, OutputFolder output, Watcher watcher) {
        this.phone = phone;
        this.engines = engines;
        this.output = output;
        this.watcher = watcher;
    }

    /**
     * Measures.
     *
     * @param folders folders of artifacts
     * @param plan numbers of runs
     * @param threads number of threads that compute
     * @param name identifier of the measurement
     * @return a result per program, in the order of the folders
     * @throws AppException if an artifact cannot be measured, or the person cancelled
     */
    List<Result> run(List<File> folders, Plan plan, int threads, String name)
            throws AppException {
        session = name;
        output.remove(RECORDS);
        output.remove(PROGRESS);
        watcher.onStep("Reading the artifacts", 0, 0);
        jobs = Job.all(folders);
        Readings before = phone.readings();
        List<Memory> memories = memories();
        Records.Session shared = new Records.Session(name, threads, phone.now(), before);
        List<Program> programs = new ArrayList<>();
        try {
            for (Job job : jobs) {
                programs.add(new Program(job, engines, phone, imports));
            }
            List<Timing> timings = Protocol.measure(programs, plan, this);
            shared.after = phone.readings();
            List<Result> results = new ArrayList<>();
            Records records = new Records(phone, engines, shared);
            for (int i = 0; i < jobs.size(); i++) {
                Job job = jobs.get(i);
                watcher.onStep("Checking the outputs of " + job.label(), i, jobs.size());
                Map<String, Tensor> found = programs.get(i).outputs();
                output.writeTensors(outputName(job), found);
                Comparison comparison = Comparison.of(job, found);
                results.add(new Result(job, records.of(job, timings.get(i), memories.get(i),
                        comparison), memories.get(i), comparison));
            }
            write(results);
            return results;
        } finally {
            for (Program program : programs) {
                program.close();
            }
        }
    }

    /** Returns the name of the file of a program's outputs. */
    static String outputName(Job job) {
        return job.artifact.digest.substring(0, 16) + "-" + job.program.name + ".safetensors";
    }

    private List<Memory> memories() throws AppException {
        List<Memory> found = new ArrayList<>();
        for (Job job : jobs) {
            watcher.onStep("Memory of " + job.label(), found.size(), jobs.size());
            found.add(new Program(job, engines, phone, imports).memory());
        }
        return found;
    }

    private void write(List<Result> results) throws AppException {
        List<Map<String, Object>> lines = new ArrayList<>();
        for (Result result : results) {
            lines.add(result.record);
        }
        output.writeLines(RECORDS, lines);
        output.remove(PROGRESS);
    }

    @Override
    public void onStep(Protocol.Phase phase, int done, int total) throws CancelledException {
        switch (phase) {
            case LOADING:
                watcher.onStep("Loading " + jobs.get(done).label(), done, total);
                break;
            case FIRST:
                watcher.onStep("First run of " + jobs.get(done).label(), done, total);
                break;
            case WARMUP:
                watcher.onStep("Warm-up " + (done + 1), 0, 0);
                break;
            default:
                watcher.onStep("Run " + (done + 1) + " of " + total, done, total);
        }
    }

    @Override
    public void onRound(Protocol.Phase phase, List<List<Subject.TimedRun>> runs)
            throws AppException {
        List<Long> times = new ArrayList<>();
        for (List<Subject.TimedRun> one : runs) {
            times.add(one.get(0).elapsedNs);
        }
        block.add(times);
        rounds++;
        if (block.size() < BLOCK) {
            return;
        }
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("session", session);
        line.put("phase", phase == Protocol.Phase.WARMUP ? "warm-up" : "timed");
        line.put("rounds", rounds);
        List<String> names = new ArrayList<>();
        for (Job job : jobs) {
            names.add(job.artifact.digest + ":" + job.program.name);
        }
        line.put("programs", names);
        line.put("elapsed_ns", block);
        line.put("sensors", phone.readings().toJson());
        output.append(PROGRESS, line);
        block.clear();
    }
}
