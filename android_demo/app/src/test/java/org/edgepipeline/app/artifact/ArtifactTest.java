package org.edgepipeline.app.artifact;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.util.Random;
import org.edgepipeline.app.errors.ArtifactException;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/** Opens whole, damaged, foreign and forged artifacts. */
public final class ArtifactTest {
    @Rule public TemporaryFolder temporary = new TemporaryFolder();

    private File folder;

    @Before
    public void copy() throws IOException {
        folder = temporary.newFolder("isp");
        for (File file : Golden.isp().listFiles()) {
            Files.copy(file.toPath(), new File(folder, file.getName()).toPath());
        }
    }

    private void refused(String sentence) {
        try {
            Artifact.open(folder);
            fail("the artifact was opened");
        } catch (ArtifactException error) {
            assertTrue(error.getMessage(), error.getMessage().matches("(?s)" + sentence));
        }
    }

    private String manifest() throws IOException {
        byte[] content = Files.readAllBytes(new File(folder, "manifest.json").toPath());
        return new String(content, StandardCharsets.UTF_8);
    }

    /** Writes another manifest with a fitting seal. */
    private void seal(String text) throws Exception {
        byte[] content = text.getBytes(StandardCharsets.UTF_8);
        StringBuilder hash = new StringBuilder();
        for (byte one : MessageDigest.getInstance("SHA-256").digest(content)) {
            hash.append(String.format("%02x", one & 0xFF));
        }
        Files.write(new File(folder, "manifest.json").toPath(), content);
        Files.write(new File(folder, "manifest.sha256").toPath(),
                (hash + "  manifest.json\n").getBytes(StandardCharsets.UTF_8));
    }

    @Test
    public void theShippedArtifactsAreOpened() throws Exception {
        Artifact artifact = Artifact.open(folder);
        assertEquals("isp_default", artifact.manifest.title);
        assertEquals("refolded", artifact.manifest.filters);
        assertEquals("onnx", artifact.manifest.backend);
        assertEquals(32, artifact.manifest.halo);
        assertEquals("predict_filters", artifact.manifest.predictor().name);
        assertEquals("forward", artifact.manifest.path().name);
        assertEquals("1x4x4*hx4*w", artifact.manifest.path().input("packed").shapeText());
        Artifact segmenter = Artifact.open(
                Golden.repository("calibration/pretrained/phi_unet_nuclei/artifact"));
        assertEquals("specialised", segmenter.manifest.filters);
        assertEquals(2, segmenter.manifest.labels.size());
    }

    @Test
    public void damagedFilesAreNamed() throws Exception {
        Files.write(new File(folder, "forward.onnx").toPath(), new byte[10]);
        refused("isp/forward.onnx was changed after it was written: expected .*, got .*\\.");
        new File(folder, "forward.onnx").delete();
        refused("isp/forward.onnx is missing; copy the artifact again\\.");
        Files.write(new File(folder, "more.txt").toPath(), new byte[1]);
        refused("isp/more.txt is not listed in the manifest; remove it\\.");
        new File(folder, "manifest.sha256").delete();
        refused("isp/manifest.json cannot be trusted, because manifest.sha256 is missing.*");
        Files.write(new File(folder, "manifest.sha256").toPath(), new byte[5]);
        refused("isp/manifest.json does not match its hash in manifest.sha256.*");
        new File(folder, "manifest.json").delete();
        refused("isp is not an artifact: it has no manifest.json\\.");
    }

    @Test
    public void foreignAndLaterManifestsAreRefused() throws Exception {
        String own = manifest();
        seal("{}");
        refused("isp/manifest.json is not the manifest of an artifact.*");
        seal("[1, 2");
        refused("isp/manifest.json is not JSON: .* at character [56]\\.");
        seal(own.replaceFirst("\"schema_version\": *1", "\"schema_version\": 7"));
        refused("isp/manifest.json has schema version 7, .* up to 1; update the app\\.");
        seal(own.replaceFirst("\"backend\"", "\"frontend\""));
        refused("isp/manifest.json does not match the schema at its top: expected no key front.*");
        seal(own.replace("\"forward.onnx\"", "\"../forward.onnx\""));
        refused(".* does not match the schema at .*: expected a plain path inside the artifact\\.");
        seal(own.replaceFirst("\"stride\": *4", "\"stride\": -4"));
        refused(".* at tile.stride: expected a whole number from 1 to 65536\\.");
    }

    /** With -Dedge.seeds=N, more than one seed is run. */
    @Test(timeout = 600_000)
    public void mutatedManifestsAreReadOrRefused() throws Exception {
        for (int seed = 0; seed < Integer.getInteger("edge.seeds", 1); seed++) {
            mutate(new Random(3 + seed));
        }
        StringBuilder deep = new StringBuilder();
        for (int i = 0; i < 100_000; i++) {
            deep.append('[');
        }
        try {
            Manifest.parse("m.json", deep.toString());
            fail("the text was read");
        } catch (ArtifactException error) {
            assertEquals("m.json is not JSON: nesting deeper than 32 at character 33.",
                    error.getMessage());
        }
    }

    private void mutate(Random random) throws Exception {
        String own = manifest();
        String letters = "{}[]\",:0123456789-+.eE\\u\n truefalsn\0";
        int refused = 0;
        for (int i = 0; i < 300; i++) {
            StringBuilder text = new StringBuilder(own);
            for (int j = random.nextInt(4); j >= 0; j--) {
                int at = random.nextInt(text.length() - 1);
                if (random.nextBoolean()) {
                    text.setCharAt(at, letters.charAt(random.nextInt(letters.length())));
                } else {
                    text.delete(at, Math.min(text.length(), at + random.nextInt(40)));
                }
            }
            try {
                Manifest.parse("m.json", text.toString());
            } catch (ArtifactException error) {
                assertTrue(error.getMessage().startsWith("m.json "));
                refused++;
            }
        }
        assertTrue("refused: " + refused, refused > 100);
    }
}
