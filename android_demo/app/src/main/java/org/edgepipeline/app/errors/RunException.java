package org.edgepipeline.app.errors;

/** A runtime is missing, or cannot load or run a program. */
public final class RunException extends AppException {
    private static final long serialVersionUID = 1L;

    /**
     * Creates a failure.
     *
     * @param message one sentence that names the program and its fault
     */
    public RunException(String message) {
        super(message);
    }
}
