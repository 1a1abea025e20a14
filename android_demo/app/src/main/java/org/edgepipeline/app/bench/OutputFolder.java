package org.edgepipeline.app.bench;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;
import org.edgepipeline.app.runner.Tensor;

/** The folder into which a measurement writes; complete files replace older ones at once. */
final class OutputFolder {
    private static final String NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}";
    private static final int ALIGNMENT = 8;

    private final File folder;

    private OutputFolder(File folder) {
        this.folder = folder;
    }

    /**
     * Creates a folder, if there is none.
     *
     * @param parent folder of all measurements; null if the phone has no storage for it
     * @param name plain name
     * @throws AppException if the name is not plain, or the folder cannot be created
     */
    static OutputFolder of(File parent, String name) throws AppException {
        if (!name.matches(NAME)) {
            throw new RunException("The output must be a plain name of up to 100 letters, digits,"
                    + " dots, underscores and hyphens, got " + name + ".");
        }
        File folder = parent == null ? null : new File(parent, name);
        if (folder == null || !(folder.isDirectory() || folder.mkdirs())) {
            throw failure();
        }
        return new OutputFolder(folder);
    }

    private static RunException failure() {
        return new RunException(
                "The phone cannot store the measurement; free some storage, and try again.");
    }

    /** Returns the path of the folder. */
    String path() {
        return folder.getPath();
    }

    /** Returns a file of the folder. */
    File file(String name) {
        return new File(folder, name);
    }

    /** Writes lines of JSON into a file, all of them or none. */
    File writeLines(String name, List<?> values) throws AppException {
        StringBuilder text = new StringBuilder();
        for (Object value : values) {
            text.append(JsonText.of(value)).append('\n');
        }
        return write(name, Arrays.asList(text.toString().getBytes(StandardCharsets.UTF_8)));
    }

    /** Appends a line of JSON to a file and waits until it is stored. */
    void append(String name, Object value) throws AppException {
        try (FileOutputStream stream = new FileOutputStream(file(name), true)) {
            stream.write((JsonText.of(value) + "\n").getBytes(StandardCharsets.UTF_8));
            stream.getFD().sync();
        } catch (IOException error) {
            throw failure();
        }
    }

    /** Removes a file, if it exists. */
    void remove(String name) {
        file(name).delete();
    }

    /** Removes all files and the folder. */
    void removeAll() {
        File[] files = folder.listFiles();
        if (files != null) {
            for (File file : files) {
                file.delete();
            }
        }
        folder.delete();
    }

    /**
     * Writes arrays as a safetensors file.
     *
     * @param name name of the file
     * @param values arrays by name
     */
    File writeTensors(String name, Map<String, Tensor> values) throws AppException {
        Map<String, Object> header = new LinkedHashMap<>();
        List<byte[]> parts = new ArrayList<>();
        long start = 0;
        for (Map.Entry<String, Tensor> entry : values.entrySet()) {
            Tensor tensor = entry.getValue();
            List<Integer> shape = new ArrayList<>();
            for (int size : tensor.shape) {
                shape.add(size);
            }
            ByteBuffer data = ByteBuffer.allocate(4 * tensor.values.length)
                    .order(ByteOrder.LITTLE_ENDIAN);
            data.asFloatBuffer().put(tensor.values);
            parts.add(data.array());
            Map<String, Object> about = new LinkedHashMap<>();
            about.put("dtype", "F32");
            about.put("shape", shape);
            about.put("data_offsets", Arrays.asList(start, start + data.capacity()));
            start += data.capacity();
            header.put(entry.getKey(), about);
        }
        StringBuilder text = new StringBuilder(JsonText.of(header));
        while (text.length() % ALIGNMENT != 0) {
            text.append(' ');
        }
        byte[] length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN)
                .putLong(text.length()).array();
        parts.add(0, text.toString().getBytes(StandardCharsets.US_ASCII));
        parts.add(0, length);
        return write(name, parts);
    }

    private File write(String name, List<byte[]> parts) throws AppException {
        File unfinished = file(name + ".unfinished");
        try (FileOutputStream stream = new FileOutputStream(unfinished)) {
            for (byte[] part : parts) {
                stream.write(part);
            }
            stream.getFD().sync();
        } catch (IOException error) {
            unfinished.delete();
            throw failure();
        }
        if (!unfinished.renameTo(file(name))) {
            unfinished.delete();
            throw failure();
        }
        return file(name);
    }
}
