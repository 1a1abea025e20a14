package org.edgepipeline.app.bench;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Readings of a phone's sensors at one time; null or empty if a sensor cannot be read. */
final class Readings {
    /** Words for PowerManager.THERMAL_STATUS_*, by their numbers. */
    static final List<String> STATUS = Collections.unmodifiableList(Arrays.asList(
            "none", "light", "moderate", "severe", "critical", "emergency", "shutdown"));
    private static final int THROTTLED_FROM = 2;

    /** Temperatures in degrees Celsius by name. */
    final Map<String, Double> temperatures;
    final Double batteryPercent;
    final Boolean isCharging;
    /** Number of the thermal status; null if unknown. */
    final Integer status;
    final Double powerW;

    Readings(Map<String, Double> temperatures, Double batteryPercent, Boolean isCharging,
            Integer status, Double powerW) {
        this.temperatures = temperatures;
        this.batteryPercent = batteryPercent;
        this.isCharging = isCharging;
        this.status = status;
        this.powerW = powerW;
    }

    /** Returns the thermal status in words; null if unknown. */
    String statusText() {
        return status == null
                ? null : STATUS.get(Math.max(0, Math.min(status, STATUS.size() - 1)));
    }

    /** Returns whether the phone lowers its clock rates so that people notice; null if unknown. */
    Boolean isThrottled() {
        return status == null ? null : (Boolean) (status >= THROTTLED_FROM);
    }

    /** Returns the readings as in a record. */
    Map<String, Object> toJson() {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("temperatures_c", temperatures);
        found.put("battery_percent", batteryPercent);
        found.put("charging", isCharging);
        found.put("thermal_status", statusText());
        found.put("throttled", isThrottled());
        found.put("power_w", powerW);
        return found;
    }
}
