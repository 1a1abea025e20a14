package org.edgepipeline.app.bench;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.CancelledException;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Measures the shipped segmenter with given times, and in ONNX Runtime. */
public final class MeasurementTest {
    /** Relative, because the record has this path. */
    private static final File ARTIFACT =
            new File("../../calibration/pretrained/phi_unet_nuclei/artifact");

    @Rule public TemporaryFolder temporary = new TemporaryFolder();

    private OutputFolder output() throws AppException {
        return OutputFolder.of(temporary.getRoot(), "out");
    }

    private List<Measurement.Result> run(Engines engines, Measurement.Watcher watcher)
            throws AppException {
        return new Measurement(new Fakes.FakePhone(), engines, output(), watcher)
                .run(Collections.singletonList(ARTIFACT), new Plan(30, 0, 10), 1, "0f1e2d3c");
    }

    private String text(String name) throws Exception {
        byte[] content = Files.readAllBytes(output().file(name).toPath());
        return new String(content, StandardCharsets.UTF_8);
    }

    /**
     * Compares the records with those that tests/unit/harness/test_app_figures.py reads.
     *
     * <p>After a change of the schema, copy the named file over the fixture.
     */
    @Test
    public void theRecordsAreThoseThatTheHarnessReads() throws Exception {
        run(new Fakes.FakeEngines(1e-6f, 0), (step, done, total) -> { });
        File written = new File("target/bench_records.jsonl");
        written.getParentFile().mkdirs();
        Files.write(written.toPath(), text("records.jsonl").getBytes(StandardCharsets.UTF_8));
        String expected = new String(
                Files.readAllBytes(Golden.fixture("bench_records.jsonl").toPath()),
                StandardCharsets.UTF_8);
        assertEquals("see " + written.getAbsolutePath(), expected, text("records.jsonl"));
        assertFalse(output().file("progress.jsonl").exists());
    }

    @Test
    public void wrongOutputsFail() throws Exception {
        Measurement.Result result =
                run(new Fakes.FakeEngines(1f, 0), (step, done, total) -> { }).get(0);
        assertFalse(result.comparison.isPassed());
        Map<?, ?> found = (Map<?, ?>) result.record.get("verification");
        assertEquals("failed", found.get("result"));
        assertTrue(String.valueOf(found.get("complaint")).startsWith("logits: relative error "));
    }

    @Test(timeout = 60_000)
    public void theShippedSegmenterIsMeasuredInItsRuntime() throws Exception {
        Engines engines = new Engines(temporary.newFolder("cache"), 1, null);
        Measurement.Result result = run(engines, (step, done, total) -> { }).get(0);
        assertTrue(result.comparison.complaint(), result.comparison.isPassed());
        assertTrue("error: " + result.comparison.maxRel(), result.comparison.maxRel() < 1e-5);
        assertEquals("1.23.0", ((Map<?, ?>) result.record.get("versions")).get("ONNX Runtime"));
        checkOutputs(result.job);
    }

    /** Checks that the file of outputs has the tensor in the format of safetensors. */
    private void checkOutputs(Job job) throws Exception {
        byte[] content = Files.readAllBytes(
                output().file(Measurement.outputName(job)).toPath());
        ByteBuffer data = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
        int header = (int) data.getLong(0);
        assertEquals(0, header % 8);
        assertEquals("{\"logits\":{\"dtype\":\"F32\",\"shape\":[1,1,256,256],"
                + "\"data_offsets\":[0,262144]}}",
                new String(content, 8, header, StandardCharsets.UTF_8).trim());
        assertEquals(8 + header + 262144, content.length);
        float[] expected = job.reference.outputs.get("logits").values;
        float[] found = new float[expected.length];
        data.position(8 + header);
        data.slice().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(found);
        assertArrayEquals(expected, found, 1e-3f);
    }

    @Test
    public void aMeasurementThatEndsLeavesTheRunsThatItHad() throws Exception {
        try {
            run(new Fakes.FakeEngines(0, 40), (step, done, total) -> { });
            fail("the measurement did not end");
        } catch (AppException error) {
            assertEquals("The runtime failed.", error.getMessage());
        }
        String[] lines = text("progress.jsonl").split("\n");
        assertEquals(3, lines.length);
        assertTrue(lines[2], lines[2].contains("\"rounds\":30,"));
        assertTrue(lines[0], lines[0].contains("\"phase\":\"warm-up\""));
        assertTrue(lines[2], lines[2].contains("\"phase\":\"timed\""));
        assertFalse(output().file("records.jsonl").exists());
    }

    @Test
    public void cancellingEndsBetweenRuns() throws Exception {
        try {
            run(new Fakes.FakeEngines(0, 0), (step, done, total) -> {
                if (step.equals("Run 5 of 30")) {
                    throw new CancelledException();
                }
            });
            fail("the measurement did not end");
        } catch (CancelledException error) {
            assertFalse(output().file("records.jsonl").exists());
        }
    }

    @Test
    public void namesOfOutputsStayInTheFolder() throws Exception {
        for (String name : Arrays.asList("../x", "a/b", "", ".x", "a b", "x\0")) {
            try {
                OutputFolder.of(temporary.getRoot(), name);
                fail(name);
            } catch (AppException error) {
                assertTrue(error.getMessage().startsWith("The output must be a plain name "));
            }
        }
    }

    @Test
    public void jsonEscapesEveryCharacter() {
        assertEquals("[\"\\\"\\\\\\u0000\\u00b5\\ud83d\\ude00\",null,true,1,0.5,{}]",
                JsonText.of(Arrays.asList("\"\\\0\u00b5\ud83d\ude00", null, true, 1, 0.5,
                        Collections.emptyMap())));
        try {
            JsonText.of(Double.NaN);
            fail("NaN was written");
        } catch (IllegalArgumentException error) {
            assertEquals("NaN has no JSON", error.getMessage());
        }
    }

    @Test
    public void plansOutsideTheirRangesAreRefused() throws Exception {
        double[][] wrong = {{29, 0, 0}, {30, -1, 0}, {30, Double.NaN, 0}, {30, 86400, 0},
            {30, 0, -1}};
        for (double[] one : wrong) {
            try {
                new Plan((int) one[0], one[1], (int) one[2]);
                fail(Arrays.toString(one));
            } catch (AppException error) {
                assertTrue(error.getMessage(), error.getMessage().contains(" must be from "));
            }
        }
    }
}
