package org.edgepipeline.app.ui;

import static org.junit.Assert.fail;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.os.Looper;
import android.util.DisplayMetrics;
import android.view.View;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;

/** Draws screens into PNG files, and waits for work in the background. */
final class Screens {
    private static final long LONGEST_MS = 60_000;

    private Screens() {}

    /** A condition to wait for. */
    interface Condition {
        boolean holds();
    }

    /** Runs the main thread's messages until a condition holds. */
    static void runUntil(Condition condition) throws InterruptedException {
        long end = System.currentTimeMillis() + LONGEST_MS;
        while (!condition.holds()) {
            // Delayed messages follow a clock of their own.
            shadowOf(Looper.getMainLooper()).idleFor(Duration.ofMillis(10));
            if (System.currentTimeMillis() > end) {
                fail("nothing happened for " + LONGEST_MS + " ms");
            }
            Thread.sleep(10);
        }
        shadowOf(Looper.getMainLooper()).idle();
    }

    /** Draws a screen and writes it into the folder of screenshots. */
    static Bitmap save(Activity activity, String name) throws IOException {
        shadowOf(Looper.getMainLooper()).idle();
        return save(activity.getWindow().getDecorView(), name);
    }

    /** Draws a view and writes it into the folder of screenshots. */
    static Bitmap save(View view, String name) throws IOException {
        if (view.getWidth() == 0) { // a dialog, or a screen that was turned
            DisplayMetrics size = view.getResources().getDisplayMetrics();
            view.measure(
                    View.MeasureSpec.makeMeasureSpec(size.widthPixels, View.MeasureSpec.EXACTLY),
                    View.MeasureSpec.makeMeasureSpec(size.heightPixels, View.MeasureSpec.EXACTLY));
            view.layout(0, 0, size.widthPixels, size.heightPixels);
        }
        Bitmap bitmap = Bitmap.createBitmap(
                view.getWidth(), view.getHeight(), Bitmap.Config.ARGB_8888);
        view.draw(new Canvas(bitmap));
        File folder = new File(System.getProperty("edge.screenshots"));
        folder.mkdirs();
        try (OutputStream stream = new FileOutputStream(new File(folder, name + ".png"))) {
            bitmap.compress(Bitmap.CompressFormat.PNG, 100, stream);
        }
        return bitmap;
    }
}
