package org.edgepipeline.app.bench;

import android.app.ActivityManager;
import android.content.Context;
import android.content.Intent;
import android.content.IntentFilter;
import android.content.pm.PackageManager;
import android.os.BatteryManager;
import android.os.Build;
import android.os.PowerManager;
import android.os.Process;
import java.io.File;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** This phone, through the services of the system. */
final class AndroidPhone implements Phone {
    private static final File SELF = new File("/proc/self");

    private final Context context;

    AndroidPhone(Context context) {
        this.context = context;
    }

    @Override
    public String name() {
        return "android:" + Build.MODEL;
    }

    @Override
    public Map<String, Object> environment() {
        ActivityManager.MemoryInfo memory = new ActivityManager.MemoryInfo();
        ((ActivityManager) context.getSystemService(Context.ACTIVITY_SERVICE))
                .getMemoryInfo(memory);
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("system_name", joined(Build.MANUFACTURER, Build.MODEL));
        found.put("host_processor_model_name", processor());
        found.put("host_processor_core_count", Runtime.getRuntime().availableProcessors());
        found.put("host_memory_bytes", Math.max(1, memory.totalMem));
        String abi = Build.SUPPORTED_ABIS.length == 0 ? "unknown ABI" : Build.SUPPORTED_ABIS[0];
        found.put("operating_system", "Android " + Build.VERSION.RELEASE + " (API "
                + Build.VERSION.SDK_INT + ") " + abi);
        return found;
    }

    /** Returns the maker and the model, the maker once. */
    private static String joined(String maker, String model) {
        String small = model.toLowerCase(Locale.ROOT);
        return small.startsWith(maker.toLowerCase(Locale.ROOT)) ? model : maker + " " + model;
    }

    private static String processor() {
        boolean isKnown = Build.VERSION.SDK_INT >= Build.VERSION_CODES.S
                && !Build.SOC_MODEL.equals(Build.UNKNOWN);
        return isKnown ? joined(Build.SOC_MANUFACTURER, Build.SOC_MODEL) : Build.HARDWARE;
    }

    @Override
    public Readings readings() {
        Intent battery = context.registerReceiver(
                null, new IntentFilter(Intent.ACTION_BATTERY_CHANGED));
        Map<String, Double> temperatures = new LinkedHashMap<>();
        Double percent = null;
        Boolean isCharging = null;
        Double power = null;
        if (battery != null) {
            int level = battery.getIntExtra(BatteryManager.EXTRA_LEVEL, -1);
            int scale = battery.getIntExtra(BatteryManager.EXTRA_SCALE, 100);
            percent = level < 0 || scale <= 0 ? null : (Double) (100.0 * level / scale);
            isCharging = charging(battery.getIntExtra(BatteryManager.EXTRA_STATUS, -1));
            int tenths = battery.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, 0);
            if (tenths != 0) {
                temperatures.put("battery", tenths / 10.0);
            }
            power = power(battery.getIntExtra(BatteryManager.EXTRA_VOLTAGE, 0));
        }
        return new Readings(temperatures, percent, isCharging, status(), power);
    }

    private static Boolean charging(int status) {
        switch (status) {
            case BatteryManager.BATTERY_STATUS_CHARGING:
            case BatteryManager.BATTERY_STATUS_FULL:
                return true;
            case BatteryManager.BATTERY_STATUS_DISCHARGING:
            case BatteryManager.BATTERY_STATUS_NOT_CHARGING:
                return false;
            default:
                return null;
        }
    }

    /** Returns the battery's power in watts; null if the phone does not measure the current. */
    private Double power(int millivolts) {
        BatteryManager manager =
                (BatteryManager) context.getSystemService(Context.BATTERY_SERVICE);
        int microamperes = manager == null ? Integer.MIN_VALUE
                : manager.getIntProperty(BatteryManager.BATTERY_PROPERTY_CURRENT_NOW);
        boolean isKnown = microamperes != Integer.MIN_VALUE && microamperes != 0 && millivolts > 0;
        return isKnown ? (Double) (Math.abs((double) microamperes) * millivolts / 1e9) : null;
    }

    private Integer status() {
        PowerManager manager = (PowerManager) context.getSystemService(Context.POWER_SERVICE);
        boolean isKnown = manager != null && Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q;
        return isKnown ? (Integer) manager.getCurrentThermalStatus() : null;
    }

    @Override
    public long nanoTime() {
        return System.nanoTime();
    }

    @Override
    public String now() {
        return Instant.now().truncatedTo(ChronoUnit.MILLIS).toString();
    }

    @Override
    public long preemptions() {
        File status = new File(SELF, "task/" + Process.myTid() + "/status");
        return Math.max(0, ProcessMemory.number(status, "nonvoluntary_ctxt_switches:"));
    }

    @Override
    public ProcessMemory memory() {
        return new ProcessMemory(SELF);
    }

    @Override
    public String appVersion() {
        try {
            String name = context.getPackageManager()
                    .getPackageInfo(context.getPackageName(), 0).versionName;
            return name == null ? "unknown" : name;
        } catch (PackageManager.NameNotFoundException error) {
            throw new IllegalStateException("the app is installed", error);
        }
    }
}
