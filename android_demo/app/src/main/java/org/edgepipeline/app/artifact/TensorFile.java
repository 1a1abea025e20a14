package org.edgepipeline.app.artifact;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.edgepipeline.app.errors.ArtifactException;

/** The tensors of a safetensors file, whose places lie inside the file. */
final class TensorFile {
    private static final long LARGEST_HEADER = 16 << 20;
    private static final int LARGEST_SIDE = 1 << 28;

    /** Text of the file's metadata by key. */
    final Map<String, Node> metadata;
    /** Tensors by name. */
    final Map<String, Entry> entries = new LinkedHashMap<>();

    private TensorFile(Node header, ByteBuffer data, int start) throws ArtifactException {
        Map<String, Node> found = new LinkedHashMap<>();
        for (Map.Entry<String, Node> one : header.entries().entrySet()) {
            if (one.getKey().equals("__metadata__")) {
                found = one.getValue().entries();
            } else {
                entries.put(one.getKey(), new Entry(one.getValue(), data, start));
            }
        }
        metadata = found;
    }

    /**
     * Reads the header of a file.
     *
     * @param name name of the file for messages
     * @param content content of the file, from its first byte
     * @throws ArtifactException if it is not a safetensors file
     */
    static TensorFile of(String name, ByteBuffer content) throws ArtifactException {
        ByteBuffer data = content.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        long length = data.limit() < 8 ? -1 : data.getLong(0);
        if (length < 0 || length > LARGEST_HEADER || length > data.limit() - 8) {
            throw new ArtifactException(name + " is not a safetensors file; compile it again.");
        }
        byte[] header = new byte[(int) length];
        data.position(8);
        data.get(header);
        Node node = Node.parse(name, new String(header, StandardCharsets.UTF_8));
        return new TensorFile(node, data, 8 + (int) length);
    }

    /** Returns a place in a file as one number. */
    static long span(long first, long bytes) {
        return first << 32 | bytes;
    }

    /** Returns the places of all tensors, as {@link #span} gives them. */
    Set<Long> spans() {
        Set<Long> found = new HashSet<>();
        for (Entry one : entries.values()) {
            found.add(span(one.first, one.bytes));
        }
        return found;
    }

    /** A tensor: its type, its shape, and its place in the file. */
    static final class Entry {
        /** Type as safetensors names it, such as F32. */
        final String dtype;
        final int[] shape;
        /** Offset of the first byte in the file. */
        final int first;
        final int bytes;
        private final ByteBuffer data;

        Entry(Node node, ByteBuffer data, int start) throws ArtifactException {
            this.data = data;
            dtype = node.get("dtype").text();
            List<Node> sizes = node.get("shape").items();
            shape = new int[sizes.size()];
            for (int i = 0; i < shape.length; i++) {
                shape[i] = (int) sizes.get(i).whole(0, LARGEST_SIDE);
            }
            List<Node> ends = node.get("data_offsets").items();
            if (ends.size() != 2) {
                throw node.fault("two offsets");
            }
            long begin = ends.get(0).whole(0, data.limit() - start);
            long end = ends.get(1).whole(begin, data.limit() - start);
            first = start + (int) begin;
            bytes = (int) (end - begin);
        }

        /** Returns whether the tensor has a type, a number of axes, and the bytes for them. */
        boolean is(String type, int bytesOfOne, int rank) {
            return dtype.equals(type) && shape.length == rank && bytes == bytesOfOne * count(0);
        }

        /** Returns the number of elements of the axes from `axis` on. */
        long count(int axis) {
            long count = 1;
            for (int i = axis; i < shape.length; i++) {
                count = Math.min(count * shape[i], Integer.MAX_VALUE);
            }
            return count;
        }

        float single(int index) {
            return data.getFloat(first + 4 * index);
        }

        double number(int index) {
            return data.getDouble(first + 8 * index);
        }

        long whole(int index) {
            return data.getLong(first + 8 * index);
        }
    }
}
