package org.edgepipeline.app.work;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.ColorSpace;
import android.graphics.Matrix;
import android.media.ExifInterface;
import android.net.Uri;
import java.io.IOException;
import java.io.InputStream;
import org.edgepipeline.app.errors.AppException;

/** Pictures that the phone can decode, upright and in sRGB. */
final class PictureFile {
    private PictureFile() {}

    /**
     * Decodes a picture.
     *
     * @param context any context of the app
     * @param uri place of the file
     * @param mostPixels number of pixels above which it is reduced by a power of two
     * @throws AppException if it cannot be read, or is no picture
     */
    static Bitmap read(Context context, Uri uri, int mostPixels) throws AppException {
        Documents documents = new Documents(context);
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inJustDecodeBounds = true;
        Bitmap bitmap = null;
        int orientation = 1;
        try {
            try (InputStream stream = documents.open(uri)) {
                BitmapFactory.decodeStream(stream, null, options);
            }
            options.inSampleSize = step(options.outWidth, options.outHeight, mostPixels);
            options.inJustDecodeBounds = false;
            options.inPreferredConfig = Bitmap.Config.ARGB_8888;
            options.inPreferredColorSpace = ColorSpace.get(ColorSpace.Named.SRGB);
            options.inPremultiplied = true;
            try (InputStream stream = documents.open(uri)) {
                bitmap = BitmapFactory.decodeStream(stream, null, options);
            }
            try (InputStream stream = documents.open(uri)) {
                orientation = new ExifInterface(stream)
                        .getAttributeInt(ExifInterface.TAG_ORIENTATION, 1);
            }
        } catch (IOException error) {
            orientation = 1; // formats without EXIF
        }
        if (bitmap == null) {
            throw new AppException(documents.name(uri)
                    + " is not a picture that this phone can decode; choose a JPEG or PNG.");
        }
        return upright(bitmap, orientation);
    }

    /** Returns the power of two by which a picture is reduced. */
    static int step(int width, int height, int mostPixels) {
        int step = 1;
        while ((long) (width / step) * (height / step) > mostPixels) {
            step *= 2;
        }
        return step;
    }

    /** Returns a bitmap turned by an EXIF orientation, 1 to 8. */
    static Bitmap upright(Bitmap bitmap, int orientation) {
        Matrix turn = new Matrix();
        if (orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7) {
            turn.postScale(-1, 1);
        }
        if (orientation == 3 || orientation == 4) {
            turn.postRotate(180);
        } else if (orientation == 6 || orientation == 7) {
            turn.postRotate(90);
        } else if (orientation == 5 || orientation == 8) {
            turn.postRotate(270);
        }
        return turn.isIdentity() ? bitmap : Bitmap.createBitmap(
                bitmap, 0, 0, bitmap.getWidth(), bitmap.getHeight(), turn, false);
    }
}
