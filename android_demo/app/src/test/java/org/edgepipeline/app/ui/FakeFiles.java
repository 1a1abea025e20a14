package org.edgepipeline.app.ui;

import android.content.ContentProvider;
import android.content.ContentUris;
import android.content.ContentValues;
import android.database.Cursor;
import android.database.MatrixCursor;
import android.net.Uri;
import android.os.ParcelFileDescriptor;
import android.provider.OpenableColumns;
import java.io.File;
import java.io.FileNotFoundException;
import java.util.HashMap;
import java.util.Map;
import org.robolectric.Robolectric;

/** Files of another app, such as the system's file picker or the gallery. */
public final class FakeFiles extends ContentProvider {
    static final String DOCUMENTS = "org.edgepipeline.test.documents";

    /** Columns of inserted rows by number. */
    static final Map<Long, ContentValues> ROWS = new HashMap<>();
    /** Whether files cannot be written, as if storage were full. */
    static boolean isFull;
    private static File folder;

    /** Begins to serve the files of a folder, and the gallery. */
    static void serve(File files) {
        folder = files;
        isFull = false;
        ROWS.clear();
        Robolectric.setupContentProvider(FakeFiles.class, DOCUMENTS);
        Robolectric.setupContentProvider(FakeFiles.class, "media");
    }

    /** Returns the place of a file of the folder. */
    static Uri place(String name) {
        return new Uri.Builder().scheme("content").authority(DOCUMENTS).path(name).build();
    }

    @Override
    public boolean onCreate() {
        return true;
    }

    @Override
    public Cursor query(Uri uri, String[] columns, String where, String[] values, String order) {
        MatrixCursor rows = new MatrixCursor(new String[] {OpenableColumns.DISPLAY_NAME});
        rows.addRow(new Object[] {uri.getLastPathSegment()});
        return rows;
    }

    @Override
    public String getType(Uri uri) {
        return null;
    }

    @Override
    public Uri insert(Uri uri, ContentValues values) {
        long number = ROWS.size() + 1;
        ROWS.put(number, new ContentValues(values));
        return ContentUris.withAppendedId(uri, number);
    }

    @Override
    public int update(Uri uri, ContentValues values, String where, String[] arguments) {
        ROWS.get(ContentUris.parseId(uri)).putAll(values);
        return 1;
    }

    @Override
    public int delete(Uri uri, String where, String[] arguments) {
        return ROWS.remove(ContentUris.parseId(uri)) == null ? 0 : 1;
    }

    @Override
    public ParcelFileDescriptor openFile(Uri uri, String mode) throws FileNotFoundException {
        boolean isWritten = mode.contains("w");
        File file = new File(folder, uri.getLastPathSegment());
        if (isWritten && isFull) {
            throw new FileNotFoundException("full");
        }
        return ParcelFileDescriptor.open(file, ParcelFileDescriptor.parseMode(mode));
    }
}
