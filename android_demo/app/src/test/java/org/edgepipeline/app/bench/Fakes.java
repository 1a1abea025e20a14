package org.edgepipeline.app.bench;

import java.io.File;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.edgepipeline.app.artifact.Artifact;
import org.edgepipeline.app.artifact.ProgramSpec;
import org.edgepipeline.app.artifact.ReferenceFile;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.RunException;
import org.edgepipeline.app.runner.Runner;
import org.edgepipeline.app.runner.Tensor;

/** A phone and runtimes whose times and outputs are given, so that records repeat exactly. */
final class Fakes {
    private Fakes() {}

    /** A phone whose clock advances in each call, and which becomes hot. */
    static final class FakePhone implements Phone {
        private long time;
        private int calls;
        private int readings;

        @Override
        public String name() {
            return "android:Fake 1";
        }

        @Override
        public Map<String, Object> environment() {
            Map<String, Object> found = new LinkedHashMap<>();
            found.put("system_name", "Fake 1");
            found.put("host_processor_model_name", "Fake \"SoC\" \u00b5");
            found.put("host_processor_core_count", 8);
            found.put("host_memory_bytes", 8L << 30);
            found.put("operating_system", "Android 15 (API 35) arm64-v8a");
            return found;
        }

        @Override
        public Readings readings() {
            readings++;
            return new Readings(Collections.singletonMap("battery", 29.5 + readings), 80.0, false,
                    readings > 1 ? 2 : 0, 1.25);
        }

        /** Times vary by 1 %, so that the warm-up becomes stable. */
        @Override
        public long nanoTime() {
            calls++;
            time += 2_000_000 + calls * 7919 % 20_011;
            return time;
        }

        @Override
        public String now() {
            return "2026-11-23T02:49:28Z";
        }

        @Override
        public long preemptions() {
            return calls / 16;
        }

        @Override
        public ProcessMemory memory() {
            return new ProcessMemory(new File("/nowhere")) {
                private long bytes = 50 << 20;

                @Override
                long residentBytes() {
                    bytes += 3 << 20;
                    return bytes;
                }

                @Override
                long peakBytes() {
                    return bytes + (9 << 20);
                }

                @Override
                boolean resetPeak() {
                    return true;
                }
            };
        }

        @Override
        public String appVersion() {
            return "0.1";
        }
    }

    /** Runtimes whose programs return the reference outputs with an error. */
    static final class FakeEngines extends Engines {
        private final float error;
        private final int failsAt;
        private int runs;

        /**
         * Creates runtimes.
         *
         * @param error added to the first element of each output
         * @param failsAt number of the run that fails; 0 for none
         */
        FakeEngines(float error, int failsAt) {
            super(new File("/nowhere"), 1, null);
            this.error = error;
            this.failsAt = failsAt;
        }

        @Override
        String load(String backend) {
            return "1.23.0";
        }

        @Override
        Runner open(Artifact artifact, ProgramSpec program) throws AppException {
            Map<String, Tensor> outputs = new LinkedHashMap<>();
            for (Map.Entry<String, Tensor> entry
                    : ReferenceFile.of(artifact, program).outputs.entrySet()) {
                float[] values = entry.getValue().values.clone();
                values[0] += error;
                outputs.put(entry.getKey(), new Tensor(entry.getValue().shape, values));
            }
            return new Runner() {
                @Override
                public Map<String, Tensor> run(Map<String, Tensor> inputs) throws RunException {
                    if (++runs == failsAt) {
                        throw new RunException("The runtime failed.");
                    }
                    return outputs;
                }

                @Override
                public void close() {}
            };
        }
    }
}
