package org.edgepipeline.app.work;

import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import java.nio.ByteBuffer;
import org.edgepipeline.app.dng.Capture;

/** The camera's own picture of a capture. */
final class CameraPicture {
    private static final int MOST_PIXELS = 3_000_000;
    /** Difference of the ratios of width and height up to which the pictures show one scene. */
    private static final double RATIO = 0.03;

    private CameraPicture() {}

    /** Returns the JPEG in a capture, upright; null if it has none of the same shape. */
    static Bitmap of(Capture capture) {
        if (capture.preview == null) {
            return null;
        }
        ByteBuffer data = capture.preview.duplicate();
        byte[] content = new byte[data.remaining()];
        data.get(content);
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inJustDecodeBounds = true;
        BitmapFactory.decodeByteArray(content, 0, content.length, options);
        double ratio = (double) options.outWidth / Math.max(1, options.outHeight);
        double own = (double) capture.width / capture.height;
        if (options.outWidth < 1 || Math.abs(ratio / own - 1) > RATIO) {
            return null;
        }
        options.inSampleSize =
                PictureFile.step(options.outWidth, options.outHeight, MOST_PIXELS);
        options.inJustDecodeBounds = false;
        Bitmap decoded = BitmapFactory.decodeByteArray(content, 0, content.length, options);
        return decoded == null ? null : PictureFile.upright(decoded, capture.orientation);
    }
}
