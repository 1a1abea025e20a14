package org.edgepipeline.app.artifact;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.ArtifactException;

/** The content of a manifest that a record of a measurement needs and developing does not. */
public final class Details {
    /** Registered name of the network. */
    public final String model;
    /** Precision: fp32, fp16 or int8. */
    public final String precision;
    /** Whether the reference outputs are those of the original network. */
    public final boolean isChecked;
    /** Scores of the network by the name of the metric. */
    public final Map<String, Double> quality = new LinkedHashMap<>();
    private final Map<String, Object> fixed;
    private final Map<String, Node> programs = new LinkedHashMap<>();
    private final Artifact artifact;

    private Details(Artifact artifact, Node node) throws ArtifactException {
        this.artifact = artifact;
        model = node.get("source").get("model").text();
        precision = node.get("precision").isNull()
                ? "fp32" : node.get("precision").oneOf("fp32", "fp16", "int8");
        isChecked = !node.get("checked").text("verified").equals("not_run");
        for (Node loss : node.get("losses").items()) {
            quality.put(loss.get("metric").text(), loss.get("after").number());
        }
        fixed = values(node.get("fixed"));
        for (Node program : node.get("programs").items()) {
            programs.put(program.get("name").text(), program);
        }
    }

    /**
     * Reads the details of an artifact.
     *
     * @param artifact artifact
     * @throws ArtifactException if its manifest is not as expected
     */
    public static Details of(Artifact artifact) throws ArtifactException {
        File file = new File(artifact.folder, FileNames.MANIFEST);
        try {
            String text = new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8);
            return new Details(artifact, Node.parse(FileNames.MANIFEST, text));
        } catch (IOException error) {
            throw new ArtifactException(artifact.folder.getName() + "/" + FileNames.MANIFEST
                    + " cannot be read; copy the artifact again.");
        }
    }

    private static Map<String, Object> values(Node node) throws ArtifactException {
        Map<String, Object> found = new LinkedHashMap<>();
        if (node.isNull()) {
            return found;
        }
        for (Map.Entry<String, Node> entry : node.entries().entrySet()) {
            Node value = entry.getValue();
            Object one = value.isText() ? value.text() : value.isNumber() ? (Object) value.number()
                    : (Object) value.flag(false);
            found.put(entry.getKey(), one);
        }
        return found;
    }

    private Node of(ProgramSpec program) {
        return programs.get(program.name);
    }

    /** Returns the values of the fixed inputs of a program by name. */
    public Map<String, Object> fixed(ProgramSpec program) throws ArtifactException {
        Map<String, Object> own = values(of(program).get("fixed"));
        return own.isEmpty() ? fixed : own;
    }

    /** Returns the number of floating-point operations of one run at the reference input. */
    public long flops(ProgramSpec program) throws ArtifactException {
        return of(program).get("flops").whole(0, 1L << 53);
    }

    /** Returns an output's standard deviation over different inputs; null if it is not known. */
    public Double variation(ProgramSpec program, String output) throws ArtifactException {
        Node node = of(program).get("variation");
        Node value = node.isNull() ? node : node.get(output);
        return value.isNull() ? null : (Double) value.number();
    }

    /** Returns the lowest and the highest usual value of an output; null if not declared. */
    public double[] range(ProgramSpec program, String output) throws ArtifactException {
        for (Node tensor : of(program).get("outputs").items()) {
            List<Node> ends = tensor.get("range").items();
            if (tensor.get("name").text().equals(output) && ends.size() == 2) {
                return new double[] {ends.get(0).number(), ends.get(1).number()};
            }
        }
        return null;
    }

    /** Returns the size of a program's files in bytes. */
    public long bytes(ProgramSpec program) {
        long sum = artifact.path(program.file).length();
        for (String file : program.extra) {
            sum += artifact.path(file).length();
        }
        return sum;
    }
}
