package org.edgepipeline.app.artifact;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.edgepipeline.app.errors.ArtifactException;

/** An artifact in a folder, whose manifest and files were checked byte by byte. */
public final class Artifact {
    private static final int LARGEST_MANIFEST = 16 << 20;
    private static final int MOST_FILES = 10_000;
    private static final int DEEPEST = 16;

    /** Folder of the artifact. */
    public final File folder;
    /** Content of manifest.json. */
    public final Manifest manifest;
    /** SHA-256 of manifest.json, which identifies the artifact. */
    public final String digest;

    private Artifact(File folder, Manifest manifest, String digest) {
        this.folder = folder;
        this.manifest = manifest;
        this.digest = digest;
    }

    /**
     * Opens the artifact in a folder.
     *
     * @param folder folder that edge-pipeline compile wrote
     * @return the artifact
     * @throws ArtifactException if the folder is not an artifact, is damaged, or has a newer schema
     */
    public static Artifact open(File folder) throws ArtifactException {
        String name = folder.getName();
        if (!new File(folder, FileNames.MANIFEST).isFile()) {
            throw new ArtifactException(
                    name + " is not an artifact: it has no " + FileNames.MANIFEST + ".");
        }
        try {
            Set<String> present = new TreeSet<>();
            list(folder, "", present, 0);
            byte[] content = small(new File(folder, FileNames.MANIFEST), name);
            Manifest manifest = checkedManifest(folder, content, present);
            checkFiles(folder, manifest, present);
            return new Artifact(folder, manifest, sha256(content));
        } catch (IOException error) {
            throw new ArtifactException(name + " cannot be read; copy the artifact again.");
        }
    }

    private static void list(File folder, String prefix, Set<String> found, int depth)
            throws IOException, ArtifactException {
        File[] files = folder.listFiles();
        if (files == null || depth > DEEPEST || found.size() > MOST_FILES) {
            throw new IOException(folder.getPath());
        }
        for (File file : files) {
            String name = prefix + file.getName();
            if (Files.isSymbolicLink(file.toPath())) {
                throw new ArtifactException(
                        name + " is a link; an artifact must contain plain files only.");
            }
            if (file.isDirectory()) {
                list(file, name + "/", found, depth + 1);
            } else {
                found.add(name);
            }
        }
    }

    private static byte[] small(File file, String name) throws IOException, ArtifactException {
        if (file.length() > LARGEST_MANIFEST) {
            throw new ArtifactException(name + ": " + file.getName() + " has " + file.length()
                    + " bytes; the limit is " + LARGEST_MANIFEST + ".");
        }
        return Files.readAllBytes(file.toPath());
    }

    private static Manifest checkedManifest(File folder, byte[] content, Set<String> present)
            throws IOException, ArtifactException {
        String path = folder.getName() + "/" + FileNames.MANIFEST;
        if (!present.contains(FileNames.SEAL)) {
            Manifest.parse(path, new String(content, StandardCharsets.UTF_8));
            throw new ArtifactException(path + " cannot be trusted, because " + FileNames.SEAL
                    + " is missing; copy the artifact again.");
        }
        byte[] seal = small(new File(folder, FileNames.SEAL), folder.getName());
        String expected = sha256(content) + "  " + FileNames.MANIFEST + "\n";
        if (!expected.equals(new String(seal, StandardCharsets.UTF_8))) {
            throw new ArtifactException(path + " does not match its hash in " + FileNames.SEAL
                    + ": one of them was changed; compile the artifact again.");
        }
        return Manifest.parse(path, new String(content, StandardCharsets.UTF_8));
    }

    private static void checkFiles(File folder, Manifest manifest, Set<String> present)
            throws IOException, ArtifactException {
        String name = folder.getName();
        for (String file : present) {
            boolean isOwn = file.equals(FileNames.MANIFEST) || file.equals(FileNames.SEAL);
            if (!isOwn && !manifest.files.containsKey(file)) {
                throw new ArtifactException(
                        name + "/" + file + " is not listed in the manifest; remove it.");
            }
        }
        for (ProgramSpec program : manifest.programs) {
            for (String file : program.files()) {
                if (!manifest.files.containsKey(file)) {
                    throw new ArtifactException(name + "/" + FileNames.MANIFEST + " names " + file
                            + " but does not list its hash; compile the artifact again.");
                }
            }
        }
        for (Map.Entry<String, String> entry : manifest.files.entrySet()) {
            if (!present.contains(entry.getKey())) {
                throw new ArtifactException(
                        name + "/" + entry.getKey() + " is missing; copy the artifact again.");
            }
            checkHash(new File(folder, entry.getKey()), entry, name);
        }
    }

    private static void checkHash(File file, Map.Entry<String, String> entry, String name)
            throws IOException, ArtifactException {
        String found = sha256(file);
        if (!found.equals(entry.getValue())) {
            throw new ArtifactException(name + "/" + entry.getKey()
                    + " was changed after it was written: expected the SHA-256 "
                    + entry.getValue().substring(0, 12) + "..., got " + found.substring(0, 12)
                    + "...; copy the artifact again.");
        }
    }

    /** Returns the path of a listed file. */
    public File path(String file) {
        return new File(folder, file);
    }

    /**
     * Returns the content of a listed file after checking it against its hash.
     *
     * @throws ArtifactException if the file cannot be read, or was changed
     */
    public byte[] content(String file) throws ArtifactException {
        try {
            byte[] content = Files.readAllBytes(path(file).toPath());
            if (sha256(content).equals(manifest.files.get(file))) {
                return content;
            }
        } catch (IOException error) {
            throw new ArtifactException(
                    folder.getName() + "/" + file + " cannot be read; copy the artifact again.");
        }
        throw new ArtifactException(folder.getName() + "/" + file
                + " was changed after it was written; copy the artifact again.");
    }

    private static String sha256(byte[] content) {
        return text(digest().digest(content));
    }

    private static String sha256(File file) throws IOException {
        MessageDigest digest = digest();
        byte[] part = new byte[1 << 16];
        try (InputStream stream = new FileInputStream(file)) {
            for (int count = stream.read(part); count > 0; count = stream.read(part)) {
                digest.update(part, 0, count);
            }
        }
        return text(digest.digest());
    }

    private static MessageDigest digest() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException("every Android has SHA-256", error);
        }
    }

    private static String text(byte[] hash) {
        StringBuilder text = new StringBuilder();
        for (byte one : hash) {
            text.append(String.format("%02x", one & 0xFF));
        }
        return text.toString();
    }
}
