package org.edgepipeline.app.work;

import android.content.ContentResolver;
import android.content.ContentValues;
import android.content.Context;
import android.content.Intent;
import android.graphics.Bitmap;
import android.net.Uri;
import android.os.Build;
import android.os.Environment;
import android.provider.MediaStore;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import org.edgepipeline.app.R;
import org.edgepipeline.app.dng.Shot;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.jpeg.Exif;
import org.edgepipeline.app.jpeg.Jpeg;

/** Saves pictures as JPEG with EXIF data and an sRGB profile. */
public final class Gallery {
    /** Folder of the gallery. */
    public static final String FOLDER = Environment.DIRECTORY_PICTURES + "/Edge Pipeline";

    private static final String TYPE = "image/jpeg";
    private static final int QUALITY = 95;

    private final Context context;

    /**
     * Creates access to the gallery.
     *
     * @param context any context of the app
     */
    public Gallery(Context context) {
        this.context = context.getApplicationContext();
    }

    /** Returns whether the gallery accepts pictures without a permission, since Android 10. */
    public static boolean isOpen() {
        return Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q;
    }

    /** Returns the request in which the person chooses the place, for older phones. */
    public static Intent request(String name) {
        return new Intent(Intent.ACTION_CREATE_DOCUMENT)
                .addCategory(Intent.CATEGORY_OPENABLE)
                .setType(TYPE)
                .putExtra(Intent.EXTRA_TITLE, name);
    }

    /**
     * Saves a picture in the gallery, where it appears when it is complete.
     *
     * @param picture picture in sRGB
     * @param shot metadata of its capture
     * @param name name of the file
     * @throws AppException if the gallery refuses it, or storage is full; nothing is left then
     */
    public Uri save(Bitmap picture, Shot shot, String name) throws AppException {
        ContentResolver resolver = context.getContentResolver();
        ContentValues values = new ContentValues();
        values.put(MediaStore.MediaColumns.DISPLAY_NAME, name);
        values.put(MediaStore.MediaColumns.MIME_TYPE, TYPE);
        values.put(MediaStore.MediaColumns.RELATIVE_PATH, FOLDER);
        values.put(MediaStore.MediaColumns.IS_PENDING, 1);
        Uri place = null;
        try {
            place = resolver.insert(MediaStore.Images.Media.EXTERNAL_CONTENT_URI, values);
            if (place == null) {
                throw refused(name);
            }
            write(picture, shot, place, name);
            ContentValues complete = new ContentValues();
            complete.put(MediaStore.MediaColumns.IS_PENDING, 0);
            resolver.update(place, complete, null, null);
            return place;
        } catch (AppException | RuntimeException error) {
            remove(resolver, place);
            throw error instanceof AppException ? (AppException) error : refused(name);
        }
    }

    private static void remove(ContentResolver resolver, Uri place) {
        if (place != null) {
            try {
                resolver.delete(place, null, null);
            } catch (RuntimeException error) {
                // The gallery removes pictures that stay incomplete after a week.
            }
        }
    }

    private static AppException refused(String name) {
        return new AppException(
                "The gallery cannot store " + name + "; free some storage and try again.");
    }

    /**
     * Writes a picture to a place that the person chose.
     *
     * @param picture picture in sRGB
     * @param shot metadata of its capture
     * @param place the place
     * @param name name for messages
     * @throws AppException if the place cannot be written, or storage is full
     */
    public void write(Bitmap picture, Shot shot, Uri place, String name) throws AppException {
        File temporary = new File(context.getCacheDir(), "saved.jpg");
        try {
            try (OutputStream stream = new FileOutputStream(temporary)) {
                if (!picture.compress(Bitmap.CompressFormat.JPEG, QUALITY, stream)) {
                    throw new IOException(name);
                }
            }
            byte[] exif = Exif.of(shot, picture.getWidth(), picture.getHeight());
            try (InputStream source = new FileInputStream(temporary);
                    OutputStream target =
                            context.getContentResolver().openOutputStream(place, "w")) {
                if (target == null) {
                    throw new IOException(name);
                }
                Jpeg.write(source, exif, profile(), target);
            }
        } catch (IOException | RuntimeException error) {
            throw refused(name);
        } finally {
            temporary.delete();
        }
    }

    private byte[] profile() throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        try (InputStream stream = context.getResources().openRawResource(R.raw.srgb)) {
            byte[] part = new byte[1024];
            for (int count = stream.read(part); count > 0; count = stream.read(part)) {
                content.write(part, 0, count);
            }
        }
        return content.toByteArray();
    }
}
