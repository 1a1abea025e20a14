package org.edgepipeline.app.bench;

import android.content.Context;
import android.content.res.AssetManager;
import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.ArtifactException;
import org.edgepipeline.app.work.Bundled;

/** Places of artifacts and of measurements on the phone. */
final class Places {
    private static final String ARTIFACTS = "artifacts";

    private final Context context;

    Places(Context context) {
        this.context = context.getApplicationContext() == null
                ? context : context.getApplicationContext();
    }

    /** Returns the folder of all measurements; null if the phone has no storage for it. */
    File measurements() {
        return context.getExternalFilesDir("bench");
    }

    /** Returns a folder for temporary files. */
    File temporary() {
        return context.getCacheDir();
    }

    /** Returns the names of the artifacts that the app contains or that were copied to it. */
    List<String> names() {
        List<String> found = new ArrayList<>();
        File[] copied = copied().listFiles(File::isDirectory);
        for (File folder : copied == null ? new File[0] : copied) {
            found.add(folder.getName());
        }
        AssetManager assets = context.getAssets();
        try {
            for (String path : assets.list(ARTIFACTS)) {
                String name = path.split("/")[0]; // Robolectric also lists the files below
                if (!found.contains(name)) {
                    found.add(name);
                }
            }
        } catch (IOException error) {
            return found; // this build contains none
        }
        Collections.sort(found);
        return found;
    }

    private File copied() {
        File folder = context.getExternalFilesDir(ARTIFACTS);
        return folder == null ? new File(context.getFilesDir(), ARTIFACTS) : folder;
    }

    /**
     * Returns the folders of artifacts.
     *
     * @param given names, or absolute paths that the app may read; empty for all that it has
     * @throws AppException if there is no such artifact
     */
    List<File> folders(List<String> given) throws AppException {
        List<File> found = new ArrayList<>();
        for (String one : given.isEmpty() ? names() : given) {
            found.add(folder(one));
        }
        if (found.isEmpty()) {
            throw new ArtifactException(
                    "There is no artifact to measure; copy one into " + copied() + ".");
        }
        return found;
    }

    private File folder(String name) throws AppException {
        if (name.startsWith("/")) {
            File folder = new File(name);
            if (!folder.isDirectory()) {
                throw new ArtifactException(name + " is not a folder that the app can read.");
            }
            return folder;
        }
        if (!names().contains(name)) {
            throw new ArtifactException("There is no artifact " + name + "; the app has "
                    + (names().isEmpty() ? "none" : String.join(", ", names())) + ".");
        }
        File folder = new File(copied(), name);
        return folder.isDirectory() ? folder
                : new Bundled(context).artifact(ARTIFACTS + "/" + name);
    }
}
