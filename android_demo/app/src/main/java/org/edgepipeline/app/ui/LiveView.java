package org.edgepipeline.app.ui;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.graphics.RectF;
import android.util.AttributeSet;
import android.view.View;

/** Shows the camera's frames with the newest mask over them. */
public final class LiveView extends View {
    private final Paint paint = new Paint(Paint.FILTER_BITMAP_FLAG);
    private final RectF place = new RectF();
    private Bitmap frame;
    private Bitmap mask;

    /**
     * Creates a view from a layout.
     *
     * @param context context of the screen
     * @param attributes attributes of the layout
     */
    public LiveView(Context context, AttributeSet attributes) {
        super(context, attributes);
    }

    /** Shows a frame; null for none. */
    void setFrame(Bitmap shown) {
        frame = shown;
        invalidate();
    }

    /** Shows a mask over the frames, which has their shape; null for none. */
    void setMask(Bitmap shown) {
        mask = shown;
        invalidate();
    }

    @Override
    protected void onDraw(Canvas canvas) {
        if (frame == null) {
            return;
        }
        float scale = Math.min((float) getWidth() / frame.getWidth(),
                (float) getHeight() / frame.getHeight());
        float left = (getWidth() - scale * frame.getWidth()) / 2;
        float top = (getHeight() - scale * frame.getHeight()) / 2;
        place.set(left, top, left + scale * frame.getWidth(), top + scale * frame.getHeight());
        canvas.drawBitmap(frame, null, place, paint);
        if (mask != null) {
            canvas.drawBitmap(mask, null, place, paint);
        }
    }
}
