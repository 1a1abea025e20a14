package org.edgepipeline.app.correct;

import java.util.List;
import org.edgepipeline.app.dng.Capture;
import org.edgepipeline.app.errors.CancelledException;
import org.edgepipeline.app.isp.Progress;

/** Corrects faults of the sensor and of the lens, as `edge-pipeline develop` does by default. */
public final class Corrections {
    /** Number of pixels that were too bright. */
    public final int hotPixels;
    /** Number of pixels that were too dark. */
    public final int deadPixels;
    /** Whether red was displaced. */
    public final boolean isRedMoved;
    /** Whether blue was displaced. */
    public final boolean isBlueMoved;

    private Corrections(HotPixels pixels, Fringes red, Fringes blue) {
        hotPixels = pixels.hot;
        deadPixels = pixels.dead;
        isRedMoved = red.isCertain;
        isBlueMoved = blue.isCertain;
    }

    /**
     * Corrects a capture in place: hot and dead pixels, then lateral colour fringes.
     *
     * @param capture capture
     * @param progress can end the work, after which the capture must be read again
     * @return the corrections
     * @throws CancelledException if the progress ended the work
     */
    public static Corrections correct(Capture capture, Progress progress)
            throws CancelledException {
        HotPixels pixels = HotPixels.repair(capture, progress);
        Cells cells = new Cells(capture);
        List<int[]> corners = Fringes.corners(cells);
        Fringes red = Fringes.measured(cells, corners, 0, progress);
        Fringes blue = Fringes.measured(cells, corners, 3, progress);
        if (red.isCertain || blue.isCertain) {
            Realignment.correct(capture, cells, red.isCertain ? red.displacement : null,
                    blue.isCertain ? blue.displacement : null, progress);
        }
        return new Corrections(pixels, red, blue);
    }
}
