package org.edgepipeline.app.artifact;

import java.util.Map;

/** A program of an artifact at one value of phi. */
public final class Variant {
    /** The program. */
    public final ProgramSpec program;
    /** Value of phi; NaN if the artifact has none. */
    public final double phi;
    /** Multiply-accumulate operations of one run. */
    public final long macs;
    /** Content of the files that differ from those of the artifact, by name. */
    public final Map<String, byte[]> files;

    Variant(ProgramSpec program, double phi, long macs, Map<String, byte[]> files) {
        this.program = program;
        this.phi = phi;
        this.macs = macs;
        this.files = files;
    }
}
