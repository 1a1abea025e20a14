package org.edgepipeline.app.bench;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.runner.Tensor;
import org.junit.Test;

/** Compares statistics, protocol and comparison with those of the harness in bench.json. */
public final class FiguresTest {
    private static List<?> cases(String name) throws Exception {
        List<?> found = (List<?>) Golden.json("bench.json").get(name);
        assertTrue(found.size() > 3);
        return found;
    }

    @Test
    public void theStatisticsAreThoseOfTheHarness() throws Exception {
        for (Object one : cases("statistics")) {
            Map<?, ?> given = (Map<?, ?>) one;
            Map<?, ?> expected = (Map<?, ?>) given.get("latency");
            Map<String, Object> found =
                    Statistics.summarise(Golden.numbers(given.get("samples_ms")));
            assertEquals(expected.keySet(), found.keySet());
            for (Map.Entry<String, Object> entry : found.entrySet()) {
                double right = (Double) expected.get(entry.getKey());
                assertEquals(entry.getKey(), right, (Double) entry.getValue(), 1e-12 * right);
            }
        }
    }

    /** A program whose times are given, and which notes its turns. */
    private static final class Scripted implements Subject {
        private final int index;
        private final double[] times;
        private final List<Double> turns;
        private int done;

        Scripted(int index, double[] times, List<Double> turns) {
            this.index = index;
            this.times = times;
            this.turns = turns;
        }

        @Override
        public Loaded load() {
            return new Loaded(1_000_000L * (index + 1), 2_000_000);
        }

        @Override
        public List<TimedRun> run(int count) {
            List<TimedRun> found = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                turns.add((double) index);
                long elapsed = (long) times[done++ % times.length];
                found.add(new TimedRun(elapsed, elapsed % 7 / 6));
            }
            return found;
        }
    }

    /** Is told about steps and does nothing. */
    static final class Silent implements Protocol.Listener {
        @Override
        public void onStep(Protocol.Phase phase, int done, int total) {}

        @Override
        public void onRound(Protocol.Phase phase, List<List<Subject.TimedRun>> runs) {}
    }

    @Test
    public void theStepsAreThoseOfTheHarness() throws Exception {
        for (Object one : cases("protocol")) {
            Map<?, ?> given = (Map<?, ?>) one;
            List<Double> turns = new ArrayList<>();
            List<Scripted> subjects = new ArrayList<>();
            for (Object times : (List<?>) given.get("times_ns")) {
                subjects.add(new Scripted(subjects.size(), Golden.numbers(times), turns));
            }
            Plan plan = new Plan(((Double) given.get("runs")).intValue(),
                    (Double) given.get("seconds"), ((Double) given.get("warmup")).intValue());
            List<Timing> timings = Protocol.measure(subjects, plan, new Silent());
            assertEquals(given.get("turns"), turns);
            for (int i = 0; i < timings.size(); i++) {
                Timing timing = timings.get(i);
                Object samples = ((List<?>) given.get("samples_ms")).get(i);
                assertArrayEquals(Golden.numbers(samples), timing.samplesMs, 0);
                assertEquals(((List<?>) given.get("first_ms")).get(i), timing.firstMs);
                assertEquals(((List<?>) given.get("import_ms")).get(i), timing.importMs);
                assertEquals(((List<?>) given.get("preempted_runs")).get(i),
                        (double) timing.preemptedRuns);
                assertEquals(given.get("num_warmup_runs"), (double) timing.warmupRuns);
                assertEquals(given.get("warmup_stable"), timing.isStable);
            }
        }
    }

    private static Tensor tensor(Object list) {
        double[] numbers = Golden.numbers(list);
        float[] values = new float[numbers.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) numbers[i];
        }
        return new Tensor(new int[] {values.length}, values);
    }

    @Test
    public void theComparisonIsThatOfTheHarness() throws Exception {
        for (Object one : cases("comparison")) {
            Map<?, ?> given = (Map<?, ?>) one;
            Object range = given.get("range");
            Comparison found = Comparison.ofOne((String) given.get("precision"),
                    tensor(given.get("expected")), tensor(given.get("found")),
                    range == null ? null : Golden.numbers(range), (String) given.get("space"),
                    (Double) given.get("variation"));
            assertEquals((Double) given.get("max_abs"), found.maxAbs(), 0);
            assertEquals((Double) given.get("max_rel"), found.maxRel(), 1e-15);
            Object psnr = given.get("psnr_db");
            assertEquals(psnr == null ? Double.POSITIVE_INFINITY : (Double) psnr, found.psnr(),
                    1e-9);
            assertEquals(found.complaint(), given.get("passed"), found.isPassed());
        }
    }
}
