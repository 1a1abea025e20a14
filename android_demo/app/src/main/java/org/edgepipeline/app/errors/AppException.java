package org.edgepipeline.app.errors;

/** An expected failure; its message is one sentence for the person who uses the app. */
public class AppException extends Exception {
    private static final long serialVersionUID = 1L;

    /**
     * Creates a failure.
     *
     * @param message one sentence with the thing, its value, and the value that would be right
     */
    public AppException(String message) {
        super(message);
    }
}
