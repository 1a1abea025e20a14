package org.edgepipeline.app.bench;

import java.util.LinkedHashMap;
import java.util.Map;

/** Peak resident memory of the app while it loads and runs one program. */
final class Memory {
    private final long baseline;
    private final long imported;
    private final long peak;
    private final boolean isReset;

    Memory(long baseline, long imported, long peak, boolean isReset) {
        this.baseline = baseline;
        this.imported = Math.max(imported, baseline);
        this.peak = Math.max(peak, this.imported);
        this.isReset = isReset;
    }

    /** Returns the memory that the runtime and the program add, in bytes. */
    long addedBytes() {
        return peak - baseline;
    }

    /** Returns the parts as in a record. */
    Map<String, Object> toJson() {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("baseline_bytes", baseline);
        found.put("runtime_bytes", imported - baseline);
        found.put("program_bytes", peak - imported);
        found.put("peak_rss_bytes", peak);
        found.put("method", isReset
                ? "VmHWM of the app, reset after the runtime was loaded"
                : "VmHWM of the app since it began");
        return found;
    }
}
