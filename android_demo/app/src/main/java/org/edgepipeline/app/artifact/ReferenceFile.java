package org.edgepipeline.app.artifact;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.ArtifactException;
import org.edgepipeline.app.runner.Tensor;

/** The reference inputs of a program and the outputs that the original network has for them. */
public final class ReferenceFile {
    private static final int LONGEST_HEADER = 16 << 20;
    private static final int MOST_AXES = 8;

    /** Inputs by name. */
    public final Map<String, Tensor> inputs;
    /** Expected outputs by name. */
    public final Map<String, Tensor> outputs;

    private ReferenceFile(Map<String, Tensor> inputs, Map<String, Tensor> outputs) {
        this.inputs = Collections.unmodifiableMap(inputs);
        this.outputs = Collections.unmodifiableMap(outputs);
    }

    /**
     * Reads the reference of a program.
     *
     * @param artifact artifact
     * @param program one of its programs
     * @throws ArtifactException if the file is damaged, or has other elements than float32
     */
    public static ReferenceFile of(Artifact artifact, ProgramSpec program)
            throws ArtifactException {
        byte[] content = artifact.content(program.reference);
        ByteBuffer data = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
        long length = content.length < 8 ? -1 : data.getLong(0);
        if (length < 0 || length > LONGEST_HEADER || length > content.length - 8) {
            throw damaged(program);
        }
        data.position(8 + (int) length);
        ByteBuffer body = data.slice().order(ByteOrder.LITTLE_ENDIAN);
        String header = new String(content, 8, (int) length, StandardCharsets.UTF_8);
        Map<String, Node> entries = Node.parse(program.reference, header).entries();
        return new ReferenceFile(tensors(program, program.inputs, "input.", entries, body),
                tensors(program, program.outputs, "output.", entries, body));
    }

    private static ArtifactException damaged(ProgramSpec program) {
        return new ArtifactException(
                program.reference + " is not a file of tensors; compile the artifact again.");
    }

    private static Map<String, Tensor> tensors(ProgramSpec program, List<TensorSpec> specs,
            String prefix, Map<String, Node> entries, ByteBuffer body) throws ArtifactException {
        Map<String, Tensor> found = new LinkedHashMap<>();
        for (TensorSpec spec : specs) {
            Node entry = entries.get(prefix + spec.name);
            if (entry == null) {
                throw damaged(program);
            }
            found.put(spec.name, tensor(program, spec, entry, body));
        }
        return found;
    }

    private static Tensor tensor(ProgramSpec program, TensorSpec spec, Node entry, ByteBuffer body)
            throws ArtifactException {
        if (!entry.get("dtype").text().equals("F32")) {
            throw new ArtifactException(program.name + " has the tensor " + spec.name + " of "
                    + spec.dtype + "; the app measures programs with float32 tensors.");
        }
        List<Node> sizes = entry.get("shape").items();
        List<Node> ends = entry.get("data_offsets").items();
        if (sizes.size() > MOST_AXES || ends.size() != 2) {
            throw damaged(program);
        }
        long first = ends.get(0).whole(0, body.limit());
        long last = ends.get(1).whole(first, body.limit());
        int[] shape = new int[sizes.size()];
        long count = 1;
        for (int i = 0; i < shape.length; i++) {
            shape[i] = (int) sizes.get(i).whole(1, 1 << 24);
            count = Math.min(count * shape[i], 1L << 40);
        }
        if (4 * count != last - first) {
            throw damaged(program);
        }
        float[] values = new float[(int) count];
        ByteBuffer own = body.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        own.position((int) first);
        own.asFloatBuffer().get(values);
        return new Tensor(shape, values);
    }
}
