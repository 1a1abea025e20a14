package org.edgepipeline.app.work;

import android.content.Context;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.util.Arrays;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.ArtifactException;

/** Files that the app contains, copied to its own folder, because runtimes open files by path. */
public final class Bundled {
    /** Artifact that develops captures. */
    public static final String DEVELOPER = "artifacts/isp_default";
    /** Artifact that segments pictures. */
    public static final String SEGMENTER = "artifacts/phi_unet_nuclei";
    /** Picture to segment. */
    public static final String PICTURE = "pictures/nuclei.jpg";
    /** Capture to try. */
    public static final String SAMPLE = "captures/colorchart.dng";

    private static final String SEAL = "/manifest.sha256";

    private final AssetManager assets;
    private final File root;

    /**
     * Creates access to the bundled files.
     *
     * @param context any context of the app
     */
    public Bundled(Context context) {
        this.assets = context.getAssets();
        this.root = new File(context.getFilesDir(), "bundled");
    }

    /**
     * Opens a bundled artifact; a damaged copy is replaced.
     *
     * @param name path of the artifact in the app
     * @throws AppException if the app does not contain it, or storage is full
     */
    public synchronized Artifact open(String name) throws AppException {
        File folder = artifact(name);
        try {
            return Artifact.open(folder);
        } catch (ArtifactException error) {
            delete(folder);
            return Artifact.open(artifact(name));
        }
    }

    /**
     * Returns the folder of a bundled artifact; it is copied if the app has another version of it.
     *
     * @param name path of the artifact in the app
     * @throws AppException if the app does not contain it, or storage is full
     */
    public synchronized File artifact(String name) throws AppException {
        File folder = new File(root, name);
        try {
            byte[] seal = content(name + SEAL);
            File own = new File(folder, SEAL);
            if (own.isFile() && Arrays.equals(Files.readAllBytes(own.toPath()), seal)) {
                return folder;
            }
            File copy = new File(root, name + ".unfinished");
            delete(copy);
            copy(name, copy);
            delete(folder);
            if (!copy.renameTo(folder)) {
                throw new IOException(folder.getPath());
            }
            return folder;
        } catch (IOException error) {
            throw new ArtifactException("The app cannot copy " + name
                    + " into its storage; delete some files, or install the app again.");
        }
    }

    /**
     * Returns a bundled file, copied when it is first used.
     *
     * @param name path of the file in the app
     * @throws AppException if the app does not contain it, or storage is full
     */
    public synchronized File file(String name) throws AppException {
        File file = new File(root, name);
        try {
            if (!file.isFile()) {
                File copy = new File(root, name + ".unfinished");
                copyFile(name, copy);
                if (!copy.renameTo(file)) {
                    throw new IOException(file.getPath());
                }
            }
            return file;
        } catch (IOException error) {
            throw new AppException("The app cannot copy " + name
                    + " into its storage; delete some files, or install the app again.");
        }
    }

    private byte[] content(String name) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        try (InputStream source = assets.open(name)) {
            transfer(source, content);
        }
        return content.toByteArray();
    }

    private void copy(String name, File target) throws IOException {
        String[] below = assets.list(name);
        if (below == null || below.length == 0) {
            copyFile(name, target);
            return;
        }
        for (String one : below) {
            copy(name + "/" + one, new File(target, one));
        }
    }

    private void copyFile(String name, File target) throws IOException {
        Files.createDirectories(target.getParentFile().toPath());
        try (InputStream source = assets.open(name);
                OutputStream stream = new FileOutputStream(target)) {
            transfer(source, stream);
        }
    }

    private static void transfer(InputStream source, OutputStream target) throws IOException {
        byte[] part = new byte[1 << 16];
        for (int count = source.read(part); count > 0; count = source.read(part)) {
            target.write(part, 0, count);
        }
    }

    private static void delete(File file) {
        File[] below = file.listFiles();
        if (below != null) {
            for (File one : below) {
                delete(one);
            }
        }
        file.delete();
    }
}
