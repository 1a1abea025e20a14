package org.edgepipeline.app.work;

import android.graphics.Bitmap;
import org.edgepipeline.app.isp.PictureSink;

/** Collects a picture in a bitmap, at its own or at half its size. */
final class BitmapSink implements PictureSink {
    /** Pixels above which a picture that is only shown for comparison has half the size. */
    private static final int LARGE = 6_000_000;

    private final boolean mayShrink;
    private int step = 1;
    private volatile Bitmap bitmap;

    BitmapSink(boolean mayShrink) {
        this.mayShrink = mayShrink;
    }

    /** Returns the bitmap, transparent where no block arrived yet; null before the first one. */
    Bitmap bitmap() {
        return bitmap;
    }

    @Override
    public void begin(int width, int height) {
        step = mayShrink && (long) width * height > LARGE ? 2 : 1;
        bitmap = Bitmap.createBitmap(
                (width + step - 1) / step, (height + step - 1) / step, Bitmap.Config.ARGB_8888);
    }

    @Override
    public void put(int[] argb, int left, int top, int width, int height) {
        if (step == 1) {
            bitmap.setPixels(argb, 0, width, left, top, width, height);
            return;
        }
        int firstRow = top + top % step;
        int firstColumn = left + left % step;
        int wide = (left + width - firstColumn + step - 1) / step;
        int high = (top + height - firstRow + step - 1) / step;
        if (wide < 1 || high < 1) {
            return;
        }
        int[] kept = new int[wide * high];
        for (int i = 0; i < kept.length; i++) {
            int row = firstRow - top + i / wide * step;
            int column = firstColumn - left + i % wide * step;
            kept[i] = argb[row * width + column];
        }
        bitmap.setPixels(kept, 0, wide, firstColumn / step, firstRow / step, wide, high);
    }
}
