package org.edgepipeline.app.bench;

import java.io.File;
import java.util.ArrayList;
import java.util.List;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.Details;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.ReferenceFile;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;

/** A program of an artifact to measure at its reference input. */
final class Job {
    final Artifact artifact;
    final Details details;
    final ProgramSpec program;
    final ReferenceFile reference;

    private Job(Artifact artifact, Details details, ProgramSpec program) throws AppException {
        this.artifact = artifact;
        this.details = details;
        this.program = program;
        this.reference = ReferenceFile.of(artifact, program);
    }

    /** Returns the jobs of all programs of the artifacts in some folders. */
    static List<Job> all(List<File> folders) throws AppException {
        List<Job> found = new ArrayList<>();
        for (File folder : folders) {
            Artifact artifact = Artifact.open(folder);
            Details details = Details.of(artifact);
            for (ProgramSpec program : artifact.manifest.programs) {
                found.add(new Job(artifact, details, program));
            }
        }
        return found;
    }

    /**
     * Returns the job of one program.
     *
     * @param folder folder of the artifact
     * @param name name of the program
     * @throws AppException if the artifact is damaged, or has no such program
     */
    static Job of(File folder, String name) throws AppException {
        Artifact artifact = Artifact.open(folder);
        List<String> names = new ArrayList<>();
        for (ProgramSpec program : artifact.manifest.programs) {
            if (program.name.equals(name)) {
                return new Job(artifact, Details.of(artifact), program);
            }
            names.add(program.name);
        }
        throw new RunException(folder.getName() + " has no program " + name + "; it has "
                + String.join(", ", names) + ".");
    }

    /** Returns the artifact's folder and the program, for messages. */
    String label() {
        return artifact.folder.getName() + ":" + program.name;
    }
}
