package org.edgepipeline.app.artifact;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.runner.Tensor;

/** The reference inputs and outputs of a program, from its safetensors file. */
public final class Reference {
    private Reference() {}

    /** Returns the float32 tensors of a program's reference, such as input.packed. */
    public static Map<String, Tensor> of(Artifact artifact, ProgramSpec program) throws Exception {
        byte[] content = artifact.content(program.reference);
        ByteBuffer data = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
        int start = 8 + (int) data.getLong(0);
        String header = new String(content, 8, start - 8, StandardCharsets.UTF_8);
        Map<String, Tensor> found = new HashMap<>();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) Json.parse(header)).entrySet()) {
            Map<?, ?> about = (Map<?, ?>) entry.getValue();
            if (!"F32".equals(about.get("dtype"))) {
                continue;
            }
            double[] sizes = Golden.numbers(about.get("shape"));
            int[] shape = new int[sizes.length];
            for (int i = 0; i < shape.length; i++) {
                shape[i] = (int) sizes[i];
            }
            int first = ((Double) ((List<?>) about.get("data_offsets")).get(0)).intValue();
            float[] values = new float[Tensor.count(shape)];
            for (int i = 0; i < values.length; i++) {
                values[i] = data.getFloat(start + first + 4 * i);
            }
            found.put((String) entry.getKey(), new Tensor(shape, values));
        }
        return found;
    }
}
