package org.edgepipeline.app.artifact;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;

/** Files and values of tools/make_fixtures.py, and files of the repository. */
public final class Golden {
    private Golden() {}

    /** Returns a file of the repository. */
    public static File repository(String path) {
        return new File(System.getProperty("edge.repository"), path);
    }

    /** Returns a fixture. */
    public static File fixture(String name) {
        return repository("android_demo/app/src/test/resources/fixtures/" + name);
    }

    /** Returns the folder of the shipped artifact that develops captures. */
    public static File isp() {
        return repository("calibration/pretrained/isp_default/artifact");
    }

    /** Returns the value of a JSON fixture. */
    public static Map<?, ?> json(String name) throws IOException {
        byte[] content = Files.readAllBytes(fixture(name).toPath());
        return (Map<?, ?>) Json.parse(new String(content, StandardCharsets.UTF_8));
    }

    /** Returns the manifest of a shipped artifact. */
    public static Map<?, ?> manifest(String name) throws IOException {
        byte[] content = Files.readAllBytes(repository(
                "calibration/pretrained/" + name + "/artifact/manifest.json").toPath());
        return (Map<?, ?>) Json.parse(new String(content, StandardCharsets.UTF_8));
    }

    /** Returns a list of numbers. */
    public static double[] numbers(Object list) {
        List<?> items = (List<?>) list;
        double[] numbers = new double[items.size()];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (Double) items.get(i);
        }
        return numbers;
    }
}
