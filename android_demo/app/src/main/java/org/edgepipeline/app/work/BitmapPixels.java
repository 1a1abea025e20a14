package org.edgepipeline.app.work;

import android.graphics.Bitmap;
import org.edgepipeline.app.segment.PixelSource;

/** The pixels of a bitmap. */
final class BitmapPixels implements PixelSource {
    private final Bitmap bitmap;

    BitmapPixels(Bitmap bitmap) {
        this.bitmap = bitmap;
    }

    @Override
    public int width() {
        return bitmap.getWidth();
    }

    @Override
    public int height() {
        return bitmap.getHeight();
    }

    @Override
    public void read(int[] argb, int left, int top, int width, int height) {
        bitmap.getPixels(argb, 0, width, left, top, width, height);
    }
}
