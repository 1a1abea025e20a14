package org.edgepipeline.app.work;

import android.content.ContentResolver;
import android.content.Context;
import android.content.Intent;
import android.database.Cursor;
import android.net.Uri;
import android.provider.OpenableColumns;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.isp.Progress;

/** Files that a person chose in the system's file picker. */
public final class Documents {
    private final Context context;

    /**
     * Creates access to chosen files.
     *
     * @param context any context of the app
     */
    public Documents(Context context) {
        this.context = context.getApplicationContext();
    }

    /**
     * Returns the request that opens the system's file picker.
     *
     * @param type media type of the files that can be chosen
     */
    public static Intent request(String type) {
        return new Intent(Intent.ACTION_OPEN_DOCUMENT)
                .addCategory(Intent.CATEGORY_OPENABLE)
                .setType(type)
                .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION
                        | Intent.FLAG_GRANT_PERSISTABLE_URI_PERMISSION);
    }

    /** Keeps the permission to read a file after the death of the process, if the system can. */
    public void keep(Uri uri) {
        try {
            context.getContentResolver()
                    .takePersistableUriPermission(uri, Intent.FLAG_GRANT_READ_URI_PERMISSION);
        } catch (SecurityException refused) {
            // Some providers grant it for one use only; a later use is a sentence.
        }
    }

    /** Returns the name of a file for people. */
    public String name(Uri uri) {
        if (ContentResolver.SCHEME_FILE.equals(uri.getScheme())) {
            return new File(uri.getPath()).getName();
        }
        String[] columns = {OpenableColumns.DISPLAY_NAME};
        try (Cursor row = context.getContentResolver().query(uri, columns, null, null, null)) {
            if (row != null && row.moveToFirst() && row.getString(0) != null) {
                return row.getString(0);
            }
        } catch (RuntimeException error) {
            // A provider may fail in any way; the file has no name then.
        }
        return "The file";
    }

    /**
     * Opens a file.
     *
     * @param uri its place
     * @throws AppException if it does not exist, or the permission to read it has ended
     */
    public InputStream open(Uri uri) throws AppException {
        try {
            InputStream stream = context.getContentResolver().openInputStream(uri);
            if (stream != null) {
                return stream;
            }
        } catch (IOException | RuntimeException error) {
            throw unreadable(uri);
        }
        throw unreadable(uri);
    }

    private AppException unreadable(Uri uri) {
        return new AppException(name(uri) + " cannot be read; choose it again.");
    }

    /**
     * Returns a file of the app with the content of a chosen one; it replaces the one before it.
     *
     * @param uri its place
     * @param progress can end the work
     * @throws AppException if the file cannot be read, storage is full, or work was cancelled
     */
    public File copied(Uri uri, Progress progress) throws AppException {
        if (ContentResolver.SCHEME_FILE.equals(uri.getScheme())) {
            return new File(uri.getPath());
        }
        File copy = new File(context.getCacheDir(), "opened");
        copy.delete(); // a mapped file keeps its content
        try (InputStream source = open(uri); OutputStream target = new FileOutputStream(copy)) {
            byte[] part = new byte[1 << 16];
            for (int count = source.read(part); count > 0; count = source.read(part)) {
                progress.report(0, 0);
                target.write(part, 0, count);
            }
            return copy;
        } catch (IOException error) {
            copy.delete();
            throw new AppException(name(uri) + " cannot be copied into the app's storage; delete"
                    + " some files, or choose it again.");
        }
    }
}
