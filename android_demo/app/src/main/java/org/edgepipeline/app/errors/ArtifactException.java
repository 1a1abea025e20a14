package org.edgepipeline.app.errors;

/** A folder is not an artifact, is damaged, or requires a newer app. */
public final class ArtifactException extends AppException {
    private static final long serialVersionUID = 1L;

    /**
     * Creates a failure.
     *
     * @param message one sentence that names the file and its fault
     */
    public ArtifactException(String message) {
        super(message);
    }
}
