package org.edgepipeline.app.bench;

import java.util.Map;

/** The phone that measures: its description, its sensors, its clocks and its process. */
interface Phone {
    /** Returns the name of the device for the record. */
    String name();

    /** Returns the description of the machine as in a record. */
    Map<String, Object> environment();

    /** Returns the readings of the sensors now. */
    Readings readings();

    /** Returns a clock that never runs backwards, in nanoseconds. */
    long nanoTime();

    /** Returns the time now as text with its zone, such as 2026-11-23T02:49:28Z. */
    String now();

    /** Returns how often the system preempted the calling thread; 0 if it does not say. */
    long preemptions();

    /** Returns the memory of this process, which can be reset for a measurement. */
    ProcessMemory memory();

    /** Returns the version of the app. */
    String appVersion();
}
