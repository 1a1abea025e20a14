package org.edgepipeline.app.bench;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Tensor;

/** A job that measures its own times around the calls of its runtime. */
final class Program implements Subject, AutoCloseable {
    private static final int RUNS_TO_PEAK = 3;

    private final Job job;
    private final Engines engines;
    private final Phone phone;
    private final Map<String, Long> imports;
    private Runner runner;

    /**
     * Creates a program that is not loaded.
     *
     * @param job job
     * @param engines opener of programs
     * @param phone clock and counters
     * @param imports times in which this process loaded libraries, by backend; that of the job's is
     *     added
     */
    Program(Job job, Engines engines, Phone phone, Map<String, Long> imports) {
        this.job = job;
        this.engines = engines;
        this.phone = phone;
        this.imports = imports;
    }

    Program(Job job, Engines engines, Phone phone) {
        this(job, engines, phone, new HashMap<String, Long>());
    }

    /** Loads the runtime's libraries, once, and returns the time that this took in ns. */
    private long preload() throws AppException {
        String backend = job.artifact.manifest.backend;
        if (!imports.containsKey(backend)) {
            long start = phone.nanoTime();
            engines.load(backend);
            imports.put(backend, phone.nanoTime() - start);
        }
        return imports.get(backend);
    }

    @Override
    public Loaded load() throws AppException {
        long importNs = preload();
        long start = phone.nanoTime();
        runner = engines.open(job.artifact, job.program);
        long initNs = phone.nanoTime() - start;
        System.gc(); // not in the middle of the timed runs
        return new Loaded(importNs, initNs);
    }

    @Override
    public List<TimedRun> run(int count) throws AppException {
        List<TimedRun> found = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            long before = phone.preemptions();
            long start = phone.nanoTime();
            runner.run(job.reference.inputs);
            long elapsed = phone.nanoTime() - start;
            found.add(new TimedRun(elapsed, phone.preemptions() - before));
        }
        return found;
    }

    /** Returns the outputs for the reference input. */
    Map<String, Tensor> outputs() throws AppException {
        return runner.run(job.reference.inputs);
    }

    /** Loads the program, runs it and returns its memory; null if the system does not tell it. */
    Memory memory() throws AppException {
        ProcessMemory process = phone.memory();
        System.gc();
        long baseline = process.residentBytes();
        preload();
        long imported = process.residentBytes();
        boolean isReset = process.resetPeak();
        load();
        run(RUNS_TO_PEAK);
        long peak = process.peakBytes();
        close();
        return baseline < 0 || peak < 0 ? null : new Memory(baseline, imported, peak, isReset);
    }

    @Override
    public void close() {
        if (runner != null) {
            runner.close();
            runner = null;
        }
    }
}
