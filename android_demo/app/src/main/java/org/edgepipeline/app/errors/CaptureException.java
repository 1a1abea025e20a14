package org.edgepipeline.app.errors;

/** A capture is damaged, or of a kind that the app does not develop. */
public final class CaptureException extends AppException {
    private static final long serialVersionUID = 1L;

    /**
     * Creates a failure.
     *
     * @param message one sentence that names the capture and its fault
     */
    public CaptureException(String message) {
        super(message);
    }
}
