package org.edgepipeline.app.ui;

import android.app.Activity;
import android.content.Intent;
import android.view.View;
import android.widget.PopupMenu;
import org.edgepipeline.app.R;
import org.edgepipeline.app.bench.BenchActivity;

/** The menu of all screens. */
final class ScreenMenu {
    private ScreenMenu() {}

    /** Opens the menu at a button. */
    static void open(Activity screen, View button) {
        PopupMenu menu = new PopupMenu(screen, button);
        menu.getMenuInflater().inflate(R.menu.screens, menu.getMenu());
        menu.setOnMenuItemClickListener(item -> {
            choose(screen, item.getItemId());
            return true;
        });
        menu.show();
    }

    private static void choose(Activity screen, int item) {
        if (item == R.id.screen_develop) {
            show(screen, DevelopActivity.class);
        } else if (item == R.id.screen_segment) {
            show(screen, SegmentActivity.class);
        } else if (item == R.id.screen_benchmark) {
            show(screen, BenchActivity.class);
        } else if (item == R.id.screen_licences) {
            screen.startActivity(new Intent(screen, LicencesActivity.class));
        }
    }

    private static void show(Activity screen, Class<? extends Activity> other) {
        if (!other.isInstance(screen)) {
            screen.startActivity(new Intent(screen, other)
                    .addFlags(Intent.FLAG_ACTIVITY_REORDER_TO_FRONT));
        }
    }
}
