package org.edgepipeline.app.errors;

/** The person cancelled the work; nothing failed. */
public final class CancelledException extends AppException {
    private static final long serialVersionUID = 1L;

    /** Creates the signal that work was cancelled. */
    public CancelledException() {
        super("The work was cancelled.");
    }
}
