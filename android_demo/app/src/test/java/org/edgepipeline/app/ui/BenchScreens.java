package org.edgepipeline.app.ui;

import android.app.Activity;
import android.graphics.Bitmap;
import java.io.IOException;
import java.util.function.BooleanSupplier;

/** Screenshots and waiting for tests of screens in other packages. */
public final class BenchScreens {
    private BenchScreens() {}

    /** Runs the main thread's messages until a condition holds. */
    public static void runUntil(BooleanSupplier condition) throws InterruptedException {
        Screens.runUntil(condition::getAsBoolean);
    }

    /** Draws a screen and writes it into the folder of screenshots. */
    public static Bitmap save(Activity activity, String name) throws IOException {
        return Screens.save(activity, name);
    }
}
