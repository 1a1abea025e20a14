package org.edgepipeline.app.artifact;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.edgepipeline.app.errors.ArtifactException;
import org.edgepipeline.app.errors.RunException;

/**
 * Replaces the exchangeable weights of a program, in memory.
 *
 * <p>Each place is checked first: it must contain the weight that the graph file has, so that a
 * forged manifest cannot make the app overwrite another part of a model.
 */
public final class Weights {
    private static final float LARGEST_HALF = 65504;

    private Weights() {}

    /**
     * Returns the files of a program with other weights.
     *
     * @param artifact artifact
     * @param program one of its programs
     * @param values all exchangeable weights by name, in the shapes of the source network
     * @return content of the changed files by name
     * @throws ArtifactException if a place does not contain its weight
     * @throws RunException if a value is missing or not finite
     */
    public static Map<String, byte[]> replaced(
            Artifact artifact, ProgramSpec program, Map<String, float[]> values)
            throws ArtifactException, RunException {
        if (program.graph == null || program.constants.isEmpty()) {
            throw new ArtifactException(artifact.folder.getName()
                    + " lists no exchangeable weights; compile it with --filters refolded.");
        }
        Map<String, byte[]> files = new TreeMap<>();
        files.put(program.graph, artifact.content(program.graph));
        for (Constant one : program.constants) {
            if (!files.containsKey(one.file)) {
                files.put(one.file, artifact.content(one.file));
            }
        }
        checkOverlaps(program);
        checkPlaces(program, files);
        for (Constant one : program.constants) {
            byte[] content = encoded(one, checked(one, values));
            for (int offset : one.offsets) {
                System.arraycopy(content, 0, files.get(one.file), offset, content.length);
            }
        }
        files.remove(program.graph); // no runtime of the app reads it
        return files;
    }

    private static float[] checked(Constant constant, Map<String, float[]> values)
            throws RunException {
        float[] value = values.get(constant.name);
        if (value == null || value.length != constant.count()) {
            throw new RunException("The filter " + constant.name + " has "
                    + (value == null ? 0 : value.length) + " values; expected " + constant.count()
                    + ".");
        }
        for (float one : value) {
            boolean fits = Math.abs(one) <= Float.MAX_VALUE
                    && (!(constant.isHalf || constant.isRounded) || Math.abs(one) <= LARGEST_HALF);
            if (!fits) {
                throw new RunException("The predicted filter " + constant.name + " contains " + one
                        + "; verify the artifact.");
            }
        }
        return value;
    }

    private static void checkOverlaps(ProgramSpec program) throws ArtifactException {
        List<long[]> spans = new ArrayList<>();
        Map<String, Integer> numbers = new HashMap<>();
        for (Constant one : program.constants) {
            numbers.putIfAbsent(one.file, numbers.size());
            for (int offset : one.offsets) {
                spans.add(new long[] {numbers.get(one.file), offset, offset + one.bytes()});
            }
        }
        spans.sort((a, b) -> a[0] != b[0] ? Long.compare(a[0], b[0]) : Long.compare(a[1], b[1]));
        for (int i = 1; i < spans.size(); i++) {
            if (spans.get(i)[0] == spans.get(i - 1)[0] && spans.get(i)[1] < spans.get(i - 1)[2]) {
                throw new ArtifactException("The manifest lists two weights of " + program.name
                        + " at the same place; compile the artifact again.");
            }
        }
    }

    private static void checkPlaces(ProgramSpec program, Map<String, byte[]> files)
            throws ArtifactException {
        byte[] graph = files.get(program.graph);
        Set<Long> spans = TensorFile.of(program.graph, ByteBuffer.wrap(graph)).spans();
        Map<String, float[]> stored = new HashMap<>();
        for (Constant one : program.constants) {
            if (!one.file.equals(program.graph)) {
                continue;
            }
            for (int offset : one.offsets) {
                if (!one.isPlain() || !spans.contains(TensorFile.span(offset, one.bytes()))) {
                    throw misplaced(one, offset);
                }
                stored.put(one.name, decoded(one, graph, offset));
            }
        }
        for (Constant one : program.constants) {
            float[] value = stored.get(one.name);
            boolean fits = value != null && value.length == one.count();
            byte[] content = fits ? encoded(one, value) : null;
            for (int offset : one.offsets) {
                if (content == null || !isAt(files.get(one.file), offset, content)) {
                    throw misplaced(one, offset);
                }
            }
        }
    }

    private static ArtifactException misplaced(Constant constant, int offset) {
        return new ArtifactException("The manifest lists " + constant.name + " at byte " + offset
                + " of " + constant.file + ", where the file does not contain it; compile the"
                + " artifact again.");
    }

    private static boolean isAt(byte[] file, int offset, byte[] content) {
        if ((long) offset + content.length > file.length) {
            return false;
        }
        for (int i = 0; i < content.length; i++) {
            if (file[offset + i] != content[i]) {
                return false;
            }
        }
        return true;
    }

    private static float[] decoded(Constant constant, byte[] file, int offset) {
        ByteBuffer data = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        int[] order = order(constant);
        float[] value = new float[order.length];
        for (int i = 0; i < order.length; i++) {
            value[order[i]] = data.getFloat(offset + 4 * i);
        }
        return value;
    }

    /** Returns a weight's bytes as they are stored at each offset. */
    static byte[] encoded(Constant constant, float[] value) {
        int[] order = order(constant);
        ByteBuffer data = ByteBuffer.allocate((int) constant.bytes());
        data.order(ByteOrder.LITTLE_ENDIAN);
        for (int place : order) {
            float number = value[place] * constant.scale;
            if (constant.isHalf) {
                data.putShort(HalfFloat.bits(number));
            } else {
                data.putFloat(constant.isRounded
                        ? HalfFloat.value(HalfFloat.bits(number)) : number);
            }
        }
        return data.array();
    }

    /** Returns the index in the source network's order of each stored element. */
    private static int[] order(Constant constant) {
        int rank = constant.shape.length;
        int[] steps = new int[rank];
        int step = 1;
        for (int axis = rank - 1; axis >= 0; axis--) {
            steps[axis] = step;
            step *= constant.shape[axis];
        }
        int[] order = new int[(int) constant.count()];
        int[] index = new int[rank];
        for (int i = 0; i < order.length; i++) {
            for (int j = 0; j < rank; j++) {
                order[i] += index[j] * steps[constant.axes[j]];
            }
            for (int j = rank - 1; j >= 0 && ++index[j] == constant.shape[constant.axes[j]]; j--) {
                index[j] = 0;
            }
        }
        return order;
    }
}
