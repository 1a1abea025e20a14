package org.edgepipeline.app.bench;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.CancelledException;

/**
 * Steps of a measurement: load, first run, warm-up until stable, timed runs.
 *
 * <p>The same protocol as edge_pipeline/harness/protocol.py; a test gives both the same times.
 */
final class Protocol {
    private static final int WINDOW = 5;
    private static final double STABLE = 0.05;
    private static final int MOST_WARMUPS = 10;

    /** A step of a measurement. */
    enum Phase { LOADING, FIRST, WARMUP, TIMED }

    /** Is told about steps, and can end the measurement. */
    interface Listener {
        /** Is called before each step; `total` is 0 if the number of steps is not known. */
        void onStep(Phase phase, int done, int total) throws CancelledException;

        /** Is called after each round with the runs of each program. */
        void onRound(Phase phase, List<List<Subject.TimedRun>> runs) throws AppException;
    }

    private final List<? extends Subject> subjects;
    private final Listener listener;
    private final List<Integer> order = new ArrayList<>();
    private int turn;
    private int warmups;
    private Boolean isStable;

    private Protocol(List<? extends Subject> subjects, Listener listener) {
        this.subjects = subjects;
        this.listener = listener;
        for (int i = 0; i < subjects.size(); i++) {
            order.add(i);
        }
    }

    /**
     * Measures programs together, in rounds with one turn of each.
     *
     * @param subjects programs that are not loaded yet, at least one
     * @param plan numbers of runs
     * @param listener is told about the steps
     * @return times of each program, in the order of `subjects`
     * @throws AppException if a program cannot be loaded or run, or the measurement was cancelled
     */
    static List<Timing> measure(List<? extends Subject> subjects, Plan plan, Listener listener)
            throws AppException {
        Protocol protocol = new Protocol(subjects, listener);
        List<Subject.Loaded> loaded = new ArrayList<>();
        for (Subject subject : subjects) {
            listener.onStep(Phase.LOADING, loaded.size(), subjects.size());
            loaded.add(subject.load());
        }
        List<Long> first = new ArrayList<>();
        for (Subject subject : subjects) {
            listener.onStep(Phase.FIRST, first.size(), subjects.size());
            first.add(subject.run(1).get(0).elapsedNs);
        }
        protocol.warmUp(plan.warmup);
        List<List<Subject.TimedRun>> timed = protocol.timed(plan);
        List<Timing> found = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            found.add(new Timing(loaded.get(i), first.get(i), timed.get(i), protocol.warmups,
                    protocol.isStable));
        }
        return found;
    }

    /**
     * Runs one loaded program until its times are stable.
     *
     * @param subject program
     * @param warmup least number of runs; 0 for none
     * @return number of runs, and whether they became stable
     */
    static Warmup warmUp(Subject subject, int warmup, Listener listener) throws AppException {
        Protocol protocol = new Protocol(Collections.singletonList(subject), listener);
        protocol.warmUp(warmup);
        return new Warmup(protocol.warmups, protocol.isStable);
    }

    /** Number of warm-up runs, and whether the times became stable. */
    static final class Warmup {
        final int runs;
        final Boolean isStable;

        Warmup(int runs, Boolean isStable) {
            this.runs = runs;
            this.isStable = isStable;
        }
    }

    /** Runs each program once and returns its run, in the order of the programs. */
    private List<List<Subject.TimedRun>> round() throws AppException {
        boolean isForth = turn / order.size() % 2 == 0;
        List<Integer> turns = new ArrayList<>(order);
        if (!isForth) {
            Collections.reverse(turns);
        }
        List<List<Subject.TimedRun>> found = new ArrayList<>(
                Collections.nCopies(order.size(), Collections.<Subject.TimedRun>emptyList()));
        for (int index : turns) {
            found.set(index, subjects.get(index).run(1));
        }
        Collections.rotate(order, -1);
        turn++;
        return found;
    }

    private void warmUp(int least) throws AppException {
        if (least == 0) {
            return;
        }
        List<double[]> medians = new ArrayList<>();
        isStable = false;
        while (warmups < (long) MOST_WARMUPS * least && !isStable) {
            listener.onStep(Phase.WARMUP, warmups, 0);
            List<List<Subject.TimedRun>> found = round();
            double[] times = new double[subjects.size()];
            for (int i = 0; i < times.length; i++) {
                times[i] = found.get(i).get(0).elapsedNs;
            }
            medians.add(times);
            warmups++;
            listener.onRound(Phase.WARMUP, found);
            isStable = warmups >= least && isStable(medians);
        }
    }

    /** Returns whether each program's last window of rounds is as fast as the one before. */
    private static boolean isStable(List<double[]> rounds) {
        if (rounds.size() < 2 * WINDOW) {
            return false;
        }
        List<double[]> last = rounds.subList(rounds.size() - 2 * WINDOW, rounds.size());
        for (int i = 0; i < last.get(0).length; i++) {
            double[] before = new double[WINDOW];
            double[] now = new double[WINDOW];
            for (int j = 0; j < WINDOW; j++) {
                before[j] = last.get(j)[i];
                now[j] = last.get(WINDOW + j)[i];
            }
            double base = Statistics.median(before);
            if (Math.abs(Statistics.median(now) - base) > STABLE * base) {
                return false;
            }
        }
        return true;
    }

    private List<List<Subject.TimedRun>> timed(Plan plan) throws AppException {
        List<List<Subject.TimedRun>> timed = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            timed.add(new ArrayList<Subject.TimedRun>());
        }
        double spentNs = 0;
        for (int done = 0; done < plan.runs || spentNs < plan.seconds * 1e9; done++) {
            listener.onStep(Phase.TIMED, done, Math.max(plan.runs, done + 1));
            List<List<Subject.TimedRun>> found = round();
            for (int i = 0; i < timed.size(); i++) {
                timed.get(i).addAll(found.get(i));
                for (Subject.TimedRun run : found.get(i)) {
                    spentNs += run.elapsedNs;
                }
            }
            listener.onRound(Phase.TIMED, found);
        }
        return timed;
    }
}
