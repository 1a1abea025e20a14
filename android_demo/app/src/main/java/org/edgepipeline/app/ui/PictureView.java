package org.edgepipeline.app.ui;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.Paint;
import android.graphics.RectF;
import android.util.AttributeSet;
import android.view.GestureDetector;
import android.view.MotionEvent;
import android.view.ScaleGestureDetector;
import android.view.View;

/** Shows a picture before and after, side by side at a boundary, with pinch to zoom and pan. */
public final class PictureView extends View {
    private static final float LARGEST_ZOOM = 16;

    private final Paint paint = new Paint(Paint.FILTER_BITMAP_FLAG | Paint.DITHER_FLAG);
    private final Paint line = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final RectF place = new RectF();
    private final ScaleGestureDetector pinch;
    private final GestureDetector drag;
    private Bitmap before;
    private Bitmap after;
    private float split = 0.5f;
    private float zoom = 1;
    private float centreX = 0.5f;
    private float centreY = 0.5f;

    /**
     * Creates a view from a layout.
     *
     * @param context context of the screen
     * @param attributes attributes of the layout
     */
    public PictureView(Context context, AttributeSet attributes) {
        super(context, attributes);
        line.setColor(Color.WHITE);
        line.setStrokeWidth(2 * getResources().getDisplayMetrics().density);
        pinch = new ScaleGestureDetector(context,
                new ScaleGestureDetector.SimpleOnScaleGestureListener() {
                    @Override
                    public boolean onScale(ScaleGestureDetector detector) {
                        zoomBy(detector.getScaleFactor());
                        return true;
                    }
                });
        drag = new GestureDetector(context, new GestureDetector.SimpleOnGestureListener() {
            @Override
            public boolean onDown(MotionEvent event) {
                return true;
            }

            @Override
            public boolean onScroll(MotionEvent from, MotionEvent to, float x, float y) {
                moveBy(x, y);
                return true;
            }

            @Override
            public boolean onDoubleTap(MotionEvent event) {
                zoomBy(zoom > 1 ? 1 / zoom : 4);
                return true;
            }
        });
    }

    /**
     * Sets the pictures, which show the same scene; their sizes may differ.
     *
     * @param first picture on the left of the boundary, or null
     * @param second picture on the right, drawn over the first one, or null
     */
    public void setPictures(Bitmap first, Bitmap second) {
        before = first;
        after = second;
        invalidate();
    }

    /**
     * Sets the boundary.
     *
     * @param share share of the width that shows the first picture, 0 to 1
     */
    public void setSplit(float share) {
        split = share;
        invalidate();
    }

    /** Multiplies the zoom, which stays from 1 (the whole picture) to 16. */
    void zoomBy(float factor) {
        zoom = Math.max(1, Math.min(LARGEST_ZOOM, zoom * factor));
        moveBy(0, 0);
    }

    /** Moves the picture by a distance in pixels of the screen, until its edge is reached. */
    void moveBy(float x, float y) {
        if (place.isEmpty()) {
            return;
        }
        float margin = 0.5f / zoom;
        centreX = inside(centreX + x / place.width(), margin);
        centreY = inside(centreY + y / place.height(), margin);
        invalidate();
    }

    /** Returns the zoom, 1 for the whole picture. */
    float zoom() {
        return zoom;
    }

    /** Returns the place of the picture in the middle of the view, 0 to 1 from its left. */
    float centreX() {
        return centreX;
    }

    /** Returns the place of the picture in the middle of the view, 0 to 1 from its top. */
    float centreY() {
        return centreY;
    }

    private static float inside(float share, float margin) {
        return Math.max(margin, Math.min(1 - margin, share));
    }

    @Override
    public boolean onTouchEvent(MotionEvent event) {
        pinch.onTouchEvent(event);
        drag.onTouchEvent(event);
        if (event.getActionMasked() == MotionEvent.ACTION_UP) {
            performClick();
        }
        return true;
    }

    @Override
    public boolean performClick() {
        return super.performClick();
    }

    @Override
    protected void onDraw(Canvas canvas) {
        Bitmap shown = after == null ? before : after;
        if (shown == null) {
            return;
        }
        float scale = zoom * Math.min((float) getWidth() / shown.getWidth(),
                (float) getHeight() / shown.getHeight());
        float width = scale * shown.getWidth();
        float height = scale * shown.getHeight();
        float left = getWidth() / 2f - centreX * width;
        float top = getHeight() / 2f - centreY * height;
        place.set(left, top, left + width, top + height);
        if (before != null) {
            canvas.drawBitmap(before, null, place, paint);
        }
        if (after == null) {
            return;
        }
        float first = Math.max(0, place.left);
        float boundary = first + split * (Math.min(getWidth(), place.right) - first);
        canvas.save();
        canvas.clipRect(boundary, 0, getWidth(), getHeight());
        canvas.drawBitmap(after, null, place, paint);
        canvas.restore();
        if (split > 0 && split < 1) {
            canvas.drawLine(boundary, Math.max(0, place.top), boundary,
                    Math.min(getHeight(), place.bottom), line);
        }
    }
}
