package org.edgepipeline.app.runner;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Golden;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.Reference;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Runs the shipped programs on their reference inputs, and opens what cannot be run. */
public final class RunnersTest {
    private static final String SEGMENTER = "calibration/pretrained/phi_unet_nuclei/artifact";

    @Rule public TemporaryFolder temporary = new TemporaryFolder();

    private Runners runners() {
        return new Runners(temporary.getRoot(), 1);
    }

    @Test(timeout = 60_000)
    public void everyProgramHasItsReferenceOutputs() throws Exception {
        for (File folder : new File[] {Golden.isp(), Golden.repository(SEGMENTER)}) {
            Artifact artifact = Artifact.open(folder);
            for (ProgramSpec program : artifact.manifest.programs) {
                check(artifact, program);
            }
        }
    }

    private void check(Artifact artifact, ProgramSpec program) throws Exception {
        Map<String, Tensor> reference = Reference.of(artifact, program);
        Map<String, Tensor> inputs = new HashMap<>();
        for (Map.Entry<String, Tensor> entry : reference.entrySet()) {
            if (entry.getKey().startsWith("input.")) {
                inputs.put(entry.getKey().substring(6), entry.getValue());
            }
        }
        try (Runner runner = runners().open(artifact, program)) {
            Map<String, Tensor> outputs = runner.run(inputs);
            assertEquals(program.outputs.size(), outputs.size());
            for (Map.Entry<String, Tensor> entry : outputs.entrySet()) {
                Tensor expected = reference.get("output." + entry.getKey());
                assertArrayEquals(entry.getKey(), expected.shape, entry.getValue().shape);
                float most = 0;
                for (float value : expected.values) {
                    most = Math.max(most, Math.abs(value));
                }
                assertArrayEquals(entry.getKey(), expected.values, entry.getValue().values,
                        2e-4f * most + 1e-6f);
            }
        }
    }

    @Test
    public void inputsThatDoNotFitAreRefused() throws Exception {
        Artifact artifact = Artifact.open(Golden.isp());
        try (Runner runner = runners().open(artifact, artifact.manifest.path())) {
            Tensor odd = new Tensor(new int[] {1, 4, 30, 32}, new float[4 * 30 * 32]);
            runner.run(Collections.singletonMap("packed", odd));
            fail("a size that is no multiple of the stride was accepted");
        } catch (RunException error) {
            assertEquals("forward requires packed as 1x4x4*hx4*w, got 1x4x30x32.",
                    error.getMessage());
        }
    }

    @Test
    public void otherBackendsAreSentences() throws Exception {
        refused("litert", "forward.onnx is not a TensorFlow Lite program.");
        refused("coreml", "isp was compiled for coreml; this app runs artifacts for onnx and"
                + " litert.");
    }

    /** Opens the shipped artifact with another backend in its manifest. */
    private void refused(String backend, String sentence) throws Exception {
        File folder = new File(temporary.newFolder(), "isp");
        Files.createDirectory(folder.toPath());
        for (File file : Golden.isp().listFiles()) {
            Files.copy(file.toPath(), new File(folder, file.getName()).toPath());
        }
        File manifest = new File(folder, "manifest.json");
        String text = new String(Files.readAllBytes(manifest.toPath()), StandardCharsets.UTF_8);
        String changed = text.replaceFirst("\"backend\": *\"onnx\"", "\"backend\": \"" + backend
                + "\"");
        assertTrue(!changed.equals(text));
        byte[] content = changed.getBytes(StandardCharsets.UTF_8);
        StringBuilder seal = new StringBuilder();
        for (byte one : MessageDigest.getInstance("SHA-256").digest(content)) {
            seal.append(String.format("%02x", one & 0xFF));
        }
        Files.write(manifest.toPath(), content);
        Files.write(new File(folder, "manifest.sha256").toPath(),
                (seal + "  manifest.json\n").getBytes(StandardCharsets.UTF_8));
        Artifact artifact = Artifact.open(folder);
        try {
            runners().open(artifact, artifact.manifest.path());
            fail("the program was opened");
        } catch (AppException error) {
            assertEquals(sentence, error.getMessage());
        }
    }

    @Test
    public void aDamagedProgramIsASentence() throws Exception {
        Artifact artifact = Artifact.open(Golden.isp());
        File folder = temporary.newFolder("copy");
        for (File file : Golden.isp().listFiles()) {
            Files.copy(file.toPath(), new File(folder, file.getName()).toPath());
        }
        Artifact copy = Artifact.open(folder);
        Files.write(new File(folder, "forward.onnx").toPath(), new byte[64]);
        try {
            runners().open(copy, copy.manifest.path());
            fail("the program was opened");
        } catch (RunException error) {
            assertEquals("ONNX Runtime could not load forward; compile the artifact again for this"
                    + " version of the runtime.", error.getMessage());
        }
        assertEquals(artifact.digest, copy.digest);
    }
}
