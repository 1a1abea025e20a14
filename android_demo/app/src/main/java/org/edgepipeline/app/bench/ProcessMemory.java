package org.edgepipeline.app.bench;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;

/** Current and peak resident memory of a process, from Linux's /proc. */
class ProcessMemory {
    private final File folder;

    /**
     * Creates access to a process.
     *
     * @param folder folder of the process, such as /proc/self
     */
    ProcessMemory(File folder) {
        this.folder = folder;
    }

    /** Returns the resident memory now in bytes; -1 if it cannot be read. */
    long residentBytes() {
        return bytes("VmRSS:");
    }

    /** Returns the highest resident memory since the start or the reset; -1 if unknown. */
    long peakBytes() {
        return bytes("VmHWM:");
    }

    /** Resets the peak to the memory now and returns whether the system allows it. */
    boolean resetPeak() {
        try {
            Files.write(new File(folder, "clear_refs").toPath(),
                    "5".getBytes(StandardCharsets.US_ASCII));
            return true;
        } catch (IOException | SecurityException error) {
            return false;
        }
    }

    private long bytes(String name) {
        long kibibytes = number(new File(folder, "status"), name);
        return kibibytes < 0 ? -1 : 1024 * kibibytes;
    }

    /** Returns the first number of a line of a status file; -1 if it cannot be read. */
    static long number(File status, String name) {
        try {
            List<String> lines = Files.readAllLines(status.toPath(), StandardCharsets.ISO_8859_1);
            for (String line : lines) {
                if (line.startsWith(name)) {
                    return Long.parseLong(line.substring(name.length()).trim().split("\\s+")[0]);
                }
            }
        } catch (IOException | NumberFormatException | SecurityException error) {
            return -1;
        }
        return -1;
    }
}
