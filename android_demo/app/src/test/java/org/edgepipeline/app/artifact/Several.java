package org.edgepipeline.app.artifact;

import java.io.File;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.MessageDigest;

/** An artifact with programs for two values of phi, as artifacts for LiteRT have. */
public final class Several {
    private static final String SEGMENTER = "calibration/pretrained/phi_unet_nuclei/artifact";

    private Several() {}

    /** Returns the shipped segmenter with programs for 0.15 and 0.3, written into a folder. */
    public static Artifact of(File folder) throws Exception {
        for (File file : Golden.repository(SEGMENTER).listFiles()) {
            Files.copy(file.toPath(), new File(folder, file.getName()).toPath());
        }
        File file = new File(folder, "manifest.json");
        String text = new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8);
        int first = text.indexOf("\"programs\": [") + 13;
        int last = text.lastIndexOf("]", text.indexOf("\"stages\": "));
        String program = text.substring(first, last).replace("\"fixed\": {},", "");
        String one = program.replace("\"name\": \"forward\",",
                "\"name\": \"forward_1\", \"fixed\": {\"phi\": 0.15},");
        String two = program.replace("\"name\": \"forward\",",
                "\"name\": \"forward_2\", \"fixed\": {\"phi\": 0.3},");
        byte[] made = (text.substring(0, first) + one + "," + two + text.substring(last))
                .getBytes(StandardCharsets.UTF_8);
        Files.write(file.toPath(), made);
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(made);
        String seal = String.format("%064x", new BigInteger(1, hash)) + "  manifest.json\n";
        Files.write(new File(folder, "manifest.sha256").toPath(),
                seal.getBytes(StandardCharsets.UTF_8));
        return Artifact.open(folder);
    }
}
