package org.edgepipeline.app.artifact;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.edgepipeline.app.errors.ArtifactException;

/** The place of a map size in a program's file: 8 bytes, little endian. */
final class MapSize {
    private static final int BYTES = 8;
    private static final int MOST_COLUMNS = 1 << 20;

    private final int offset;
    private final int column;

    MapSize(Node node) throws ArtifactException {
        node.checkKeys("offset", "column");
        offset = (int) node.get("offset").whole(0, Integer.MAX_VALUE - BYTES);
        column = (int) node.get("column").whole(0, MOST_COLUMNS);
    }

    /**
     * Replaces the map sizes of a program.
     *
     * @param program the program
     * @param content content of its file, which is changed
     * @param old numbers of the size table for which the file was written
     * @param made numbers of the size table for the other value
     * @throws ArtifactException if a place does not contain its old size; nothing is changed then
     */
    static void replace(ProgramSpec program, byte[] content, long[] old, long[] made)
            throws ArtifactException {
        ByteBuffer data = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
        for (MapSize one : program.sizes) {
            boolean fits = one.column < made.length && made[one.column] >= 1
                    && one.offset + BYTES <= content.length
                    && data.getLong(one.offset) == old[one.column];
            if (!fits) {
                throw new ArtifactException("The manifest lists a map size at byte " + one.offset
                        + " of " + program.file + ", where the file does not contain it; compile"
                        + " the artifact again.");
            }
        }
        for (MapSize one : program.sizes) {
            data.putLong(one.offset, made[one.column]);
        }
    }
}
