package org.edgepipeline.app.bench;

import android.os.Bundle;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;

/**
 * The extras of an Intent or of `am instrument`, as texts or as numbers.
 *
 * <p>`am instrument -e` gives texts; `am start --ei` gives numbers.
 */
final class Request {
    private static final int MOST_THREADS = 64;

    private final Bundle extras;

    Request(Bundle extras) {
        this.extras = extras == null ? new Bundle() : extras;
    }

    /** Returns a text; null if the extra is missing or empty. */
    @SuppressWarnings("deprecation") // the type of an extra is not known before it is read
    String text(String name) {
        Object value = extras.get(name);
        return value == null || value.toString().isEmpty() ? null : value.toString();
    }

    /** Returns a text that must be there. */
    String required(String name) throws AppException {
        String value = text(name);
        if (value == null) {
            throw new RunException("The extra " + name + " is missing; give -e " + name
                    + " VALUE.");
        }
        return value;
    }

    /** Returns a whole number, given as a text or as a number. */
    int whole(String name, int missing, int least, int most) throws AppException {
        double value = number(name, missing);
        if (value != Math.rint(value) || value < least || value > most) {
            throw new RunException("The extra " + name + " must be a whole number from " + least
                    + " to " + most + ", got " + text(name) + ".");
        }
        return (int) value;
    }

    /** Returns a number, given as a text or as a number. */
    double number(String name, double missing) throws AppException {
        String value = text(name);
        try {
            return value == null ? missing : Double.parseDouble(value);
        } catch (NumberFormatException error) {
            throw new RunException(
                    "The extra " + name + " must be a number, got " + value + ".");
        }
    }

    /** Returns the artifacts: names or paths with commas between them; empty for all. */
    List<String> artifacts() {
        String value = text("artifact");
        if (value == null) {
            return Collections.emptyList();
        }
        List<String> found = new ArrayList<>();
        for (String one : value.split(",")) {
            if (!one.trim().isEmpty()) {
                found.add(one.trim());
            }
        }
        return found;
    }

    int threads() throws AppException {
        return whole("threads", 1, 1, MOST_THREADS);
    }

    Plan plan() throws AppException {
        return new Plan(whole("runs", 50, Plan.LEAST_RUNS, 1_000_000), number("seconds", 5),
                whole("warmup", 10, 0, 1_000_000));
    }
}
