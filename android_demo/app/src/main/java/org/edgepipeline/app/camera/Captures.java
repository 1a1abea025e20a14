package org.edgepipeline.app.camera;

import android.content.Context;
import java.io.BufferedOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.text.SimpleDateFormat;
import java.util.Date;
import java.util.Locale;

/** The files of captures, in a folder of the app that adb can read. */
public final class Captures {
    private Captures() {}

    /** Writes the content of a capture. */
    public interface Content {
        /** Writes all bytes. */
        void write(OutputStream stream) throws IOException;
    }

    /**
     * Stores a capture under a name with its time; an incomplete file is removed.
     *
     * @param context any context of the app
     * @param content writes the DNG file
     * @throws IOException if storage is full
     */
    public static File store(Context context, Content content) throws IOException {
        File folder = context.getExternalFilesDir("captures");
        if (folder == null) {
            folder = new File(context.getFilesDir(), "captures");
        }
        folder.mkdirs();
        String time = new SimpleDateFormat("yyyyMMdd_HHmmss_SSS", Locale.ROOT).format(new Date());
        File file = new File(folder, "RAW_" + time + ".dng");
        File part = new File(folder, file.getName() + ".unfinished");
        try {
            try (OutputStream stream = new BufferedOutputStream(new FileOutputStream(part))) {
                content.write(stream);
            }
            if (!part.renameTo(file)) {
                throw new IOException(file.getPath());
            }
            return file;
        } finally {
            part.delete();
        }
    }
}
