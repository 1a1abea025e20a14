package org.edgepipeline.app.artifact;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.ArtifactException;

/** The content of an artifact's manifest that the app uses. */
public final class Manifest {
    private static final String FORMAT = "edge_pipeline.artifact";
    private static final int VERSION = 1;
    private static final String SHA256 = "[0-9a-f]{64}";
    private static final int LARGEST = 1 << 16;

    /** Name of the model for people. */
    public final String title;
    /** Meaning of the output: camera_linear, srgb, logits or features. */
    public final String outputSpace;
    /** Names of a segmenter's labels; empty if the network is no segmenter. */
    public final List<String> labels;
    /** Backend for which the artifact was compiled, such as onnx or litert. */
    public final String backend;
    /** Deployment form of the weights: dynamic, folded, split, refolded or specialised. */
    public final String filters;
    /** Programs of the deployment form. */
    public final List<ProgramSpec> programs;
    /** Step of the network's grid, in packed pixels. */
    public final int stride;
    /** Distance from which input affects an output pixel, in packed pixels; -1 for no limit. */
    public final int halo;
    /** Number of RGB pixels per packed pixel along an axis. */
    public final int scale;
    /** Packed pixels at each edge of a tile for which there is no output. */
    public final int margin;
    /** Smallest side that the network accepts, in packed pixels. */
    public final int minimum;
    /** Whether the first label is the background; null if the network's card does not say it. */
    public final Boolean background;
    final Map<String, String> files;
    /** Numbers for which the network was compiled, by name. */
    final Map<String, Double> fixed;
    /** Name of the file of the weight curve, or null. */
    final String curve;

    private Manifest(Node node) throws ArtifactException {
        node.checkKeys("format", "schema_version", "source", "backend", "precision", "filters",
                "fixed", "checked", "programs", "stages", "tile", "calibration",
                "precision_calibration", "losses", "curve", "card", "tools", "notes", "created",
                "files");
        backend = node.get("backend").text();
        filters = node.get("filters")
                .oneOf("dynamic", "folded", "split", "refolded", "specialised");
        Node card = node.get("card");
        title = card.get("name").text();
        outputSpace = card.get("output_space").text("camera_linear");
        List<String> names = new ArrayList<>();
        for (Node label : card.get("labels").items()) {
            names.add(label.text());
        }
        labels = Collections.unmodifiableList(names);
        Node first = card.get("background");
        background = first.isNull() ? null : (Boolean) first.flag(false);
        fixed = numbers(node.get("fixed"));
        curve = node.get("curve").isNull() ? null : FileNames.of(node.get("curve"));
        Node tile = node.get("tile");
        tile.checkKeys("stride", "halo", "scale", "minimum", "margin");
        stride = (int) tile.get("stride").whole(1, LARGEST);
        halo = tile.get("halo").isNull() ? -1 : (int) tile.get("halo").whole(0, LARGEST);
        scale = (int) tile.get("scale").whole(1, 64);
        margin = tile.get("margin").isNull() ? 0
                : (int) tile.get("margin").whole(0, Math.max(0, halo));
        minimum = tile.get("minimum").isNull() ? 1 : (int) tile.get("minimum").whole(1, LARGEST);
        List<ProgramSpec> found = new ArrayList<>();
        for (Node one : node.get("programs").items()) {
            found.add(new ProgramSpec(one));
        }
        if (found.isEmpty()) {
            throw node.get("programs").fault("at least one program");
        }
        programs = Collections.unmodifiableList(found);
        files = hashes(node.get("files"));
        if (curve != null && !files.containsKey(curve)) {
            throw node.get("curve").fault("a file whose hash is listed");
        }
        checkFilters(node);
    }

    /** Returns the numbers of an object by key; other values are left out. */
    static Map<String, Double> numbers(Node node) throws ArtifactException {
        Map<String, Double> found = new LinkedHashMap<>();
        if (!node.isNull()) {
            for (Map.Entry<String, Node> entry : node.entries().entrySet()) {
                if (entry.getValue().isNumber()) {
                    found.put(entry.getKey(), entry.getValue().number());
                }
            }
        }
        return found;
    }

    private static Map<String, String> hashes(Node node) throws ArtifactException {
        Map<String, String> found = new LinkedHashMap<>();
        for (Map.Entry<String, Node> entry : node.entries().entrySet()) {
            String hash = entry.getValue().text();
            if (!hash.matches(SHA256)) {
                throw entry.getValue().fault("a SHA-256 of 64 digits");
            }
            found.put(FileNames.checked(node, entry.getKey()), hash);
        }
        return found;
    }

    /** Checks that the predictor of a refolded artifact computes the constants of its path. */
    private void checkFilters(Node node) throws ArtifactException {
        if (!filters.equals("refolded")) {
            return;
        }
        List<String> made = new ArrayList<>();
        List<String> used = new ArrayList<>();
        for (TensorSpec one : programs.get(0).outputs) {
            made.add(one.name + " " + one.shapeText());
        }
        for (Constant one : programs.get(programs.size() - 1).constants) {
            String shape = one.name + " " + text(one.shape);
            if (!used.contains(shape)) {
                used.add(shape);
            }
        }
        Collections.sort(made);
        Collections.sort(used);
        if (programs.size() != 2 || !made.equals(used)) {
            throw node.get("programs")
                    .fault("a predictor whose outputs are the constants of forward");
        }
    }

    private static String text(int[] shape) {
        List<String> parts = new ArrayList<>();
        for (int size : shape) {
            parts.add(String.valueOf(size));
        }
        return String.join("x", parts);
    }

    /**
     * Parses a manifest.
     *
     * @param file path for messages
     * @param text content
     * @throws ArtifactException if it is not a manifest, or of a later version
     */
    static Manifest parse(String file, String text) throws ArtifactException {
        Node node = Node.parse(file, text);
        boolean isOurs = node.isObject() && node.get("format").isText()
                && node.get("format").text().equals(FORMAT);
        if (!isOurs) {
            throw new ArtifactException(file
                    + " is not the manifest of an artifact; its format must be " + FORMAT + ".");
        }
        Node version = node.get("schema_version");
        if (version.isNumber() && version.number() > VERSION) {
            throw new ArtifactException(file + " has schema version " + (long) version.number()
                    + ", and this app reads versions up to " + VERSION + "; update the app.");
        }
        version.whole(VERSION, VERSION);
        return new Manifest(node);
    }

    /** Returns the program that computes the output, the last one. */
    public ProgramSpec path() {
        return programs.get(programs.size() - 1);
    }

    /** Returns the program that predicts the filters, or null. */
    public ProgramSpec predictor() {
        boolean hasOne = filters.equals("refolded") || filters.equals("split");
        return hasOne ? programs.get(0) : null;
    }
}
