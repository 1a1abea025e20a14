package org.edgepipeline.app.artifact;

import java.util.regex.Pattern;
import org.edgepipeline.app.errors.ArtifactException;

/** Names of files in an artifact: plain relative paths that stay inside its folder. */
final class FileNames {
    static final String MANIFEST = "manifest.json";
    static final String SEAL = "manifest.sha256";

    private static final Pattern PART = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.+-]*");

    private FileNames() {}

    static String of(Node node) throws ArtifactException {
        return checked(node, node.text());
    }

    static String checked(Node node, String name) throws ArtifactException {
        String[] parts = name.split("/", -1);
        for (String part : parts) {
            if (!PART.matcher(part).matches()) {
                throw node.fault("a plain path inside the artifact");
            }
        }
        if (parts[0].equals(MANIFEST) || parts[0].equals(SEAL)) {
            throw node.fault("another name than that of the manifest");
        }
        return name;
    }
}
