package org.edgepipeline.app.bench;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import android.app.Activity;
import android.content.Context;
import android.os.Bundle;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.xml.parsers.DocumentBuilderFactory;
import org.edgepipeline.app.artifact.Golden;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.w3c.dom.Element;

/** Executes the instrumentation as `am instrument` does, with extras as texts and as numbers. */
@RunWith(RobolectricTestRunner.class)
public final class BenchInstrumentationTest {
    @Rule public TemporaryFolder temporary = new TemporaryFolder();

    /** The instrumentation without the system that started it. */
    private static final class Started extends BenchInstrumentation {
        final CountDownLatch end = new CountDownLatch(1);
        final List<Bundle> statuses = new ArrayList<>();
        int code;
        Bundle result;

        @Override
        public Context getTargetContext() {
            return RuntimeEnvironment.getApplication();
        }

        @Override
        public void sendStatus(int status, Bundle bundle) {
            statuses.add(bundle);
        }

        @Override
        public void finish(int resultCode, Bundle results) {
            code = resultCode;
            result = results;
            end.countDown();
        }
    }

    private static Started started(Object... extras) throws Exception {
        Bundle bundle = new Bundle();
        for (int i = 0; i < extras.length; i += 2) {
            if (extras[i + 1] instanceof Integer) {
                bundle.putInt((String) extras[i], (Integer) extras[i + 1]);
            } else {
                bundle.putString((String) extras[i], (String) extras[i + 1]);
            }
        }
        Started started = new Started();
        started.onCreate(bundle);
        assertTrue("it did not end", started.end.await(60, TimeUnit.SECONDS));
        return started;
    }

    private static String artifact() {
        return Golden.repository("calibration/pretrained/phi_unet_nuclei/artifact").getPath();
    }

    private static String answer(Object... extras) throws Exception {
        Started started = started(extras);
        assertEquals(String.valueOf(started.result), Activity.RESULT_OK, started.code);
        return started.result.getString("answer");
    }

    private static void refused(String sentence, Object... extras) throws Exception {
        Started started = started(extras);
        assertEquals(BenchInstrumentation.FAILED, started.code);
        String error = started.result.getString("error");
        assertTrue(error, error.matches(sentence));
    }

    @Test(timeout = 90_000)
    public void artifactsAreMeasuredAndRecorded() throws Exception {
        Started started = started("artifact", artifact(), "runs", "30", "seconds", "0", "warmup",
                0, "threads", 1, "output", "one");
        assertEquals(String.valueOf(started.result), Activity.RESULT_OK, started.code);
        File records = new File(started.result.getString("records"));
        String text = new String(Files.readAllBytes(records.toPath()), StandardCharsets.UTF_8);
        assertTrue(text, text.startsWith("{\"schema_version\":2,"));
        assertTrue(text, text.contains("\"result\":\"passed\""));
        assertTrue(text, text.contains("\"num_runs\":30,"));
        assertTrue(text, text.contains("\"thermal_status\":\"none\""));
        String stream = started.result.getString("stream");
        assertTrue(stream, stream.contains("artifact:forward: median "));
        assertTrue(stream, stream.contains("outputs correct"));
        assertFalse(started.statuses.isEmpty());
    }

    @Test(timeout = 90_000)
    public void theOrdersOfTheHostAreAnswered() throws Exception {
        String described = answer("order", "describe");
        assertEquals("{\"protocol\":1,\"app\":\"0.1\",\"backends\":{\"onnx\":\"1.23.0\"}}",
                described);
        String loaded = answer("order", "load", "artifact", artifact(), "program", "forward");
        assertTrue(loaded, loaded.matches("\\{\"import_ns\":\\d+,\"init_ns\":\\d+,\"versions\":"
                + "\\{\"edge-pipeline app\":\"0.1\",\"onnx\":\"1.23.0\",\"delegate\":\"cpu\"}}"));
        String ran = answer("order", "run", "artifact", artifact(), "program", "forward", "runs",
                "4", "warmup", "2");
        assertTrue(ran, ran.matches(".*\"runs\":\\[(\\[\\d+,\\d+],){3}\\[\\d+,\\d+]],"
                + "\"warmup_runs\":\\d+,\"warmup_stable\":(true|false),"
                + "\"thermal_status\":\"none\"}"));
        String memory = answer("order", "memory", "artifact", artifact(), "program", "forward");
        assertTrue(memory, memory.matches("\\{\"memory\":\\{\"baseline_bytes\":\\d+,.*}}"));
    }

    @Test(timeout = 90_000)
    public void outputsAreWrittenAndRemoved() throws Exception {
        String found = answer("order", "outputs", "artifact", artifact(), "program", "forward",
                "output", "edge_pipeline-1");
        assertTrue(found, found.contains("\"result\":\"passed\""));
        File folder = new File(new Places(RuntimeEnvironment.getApplication()).measurements(),
                "edge_pipeline-1");
        File[] files = folder.listFiles();
        assertEquals(1, files.length);
        assertTrue(found, found.contains("\"outputs\":\"" + files[0].getPath() + "\""));
        assertEquals("{}", answer("order", "clean", "output", "edge_pipeline-1"));
        assertFalse(folder.exists());
    }

    @Test(timeout = 90_000)
    public void wrongExtrasAreSentences() throws Exception {
        refused("There is no artifact nothing; the app has isp_default.*", "artifact", "nothing");
        refused("/nowhere is not a folder that the app can read\\.", "artifact", "/nowhere");
        refused("The extra runs must be a whole number from 30 to 1000000, got 5\\.", "artifact",
                artifact(), "runs", 5);
        refused("The extra seconds must be a number, got soon\\.", "artifact", artifact(),
                "seconds", "soon");
        refused("The extra threads must be a whole number from 1 to 64, got 0\\.", "threads", "0");
        refused("The extra order must be describe, .*, got reboot\\.", "order", "reboot");
        refused("The extra program is missing; give -e program VALUE\\.", "order", "load",
                "artifact", artifact());
        refused("artifact has no program none; it has forward\\.", "order", "load", "artifact",
                artifact(), "program", "none");
        refused("Artifacts for onnx run on the delegate cpu; got gpu\\.", "order", "load",
                "artifact", artifact(), "program", "forward", "delegate", "gpu");
        refused("The output must be a plain name .*, got \\.\\./x\\.", "order", "clean", "output",
                "../x");
    }

    @Test
    public void aDamagedArtifactIsASentence() throws Exception {
        File folder = temporary.newFolder("damaged");
        for (File file : new File(artifact()).listFiles()) {
            Files.copy(file.toPath(), new File(folder, file.getName()).toPath());
        }
        Files.write(new File(folder, "forward.onnx").toPath(), new byte[4]);
        refused("damaged/forward\\.onnx was changed after it was written: .*", "artifact",
                folder.getPath());
    }

    @Test
    public void theManifestDeclaresIt() throws Exception {
        // Robolectric lists no instrumentation, so the manifest is read.
        File manifest =
                Golden.repository("android_demo/app/src/main/AndroidManifest.xml");
        Element found = (Element) DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(manifest).getElementsByTagName("instrumentation").item(0);
        assertEquals(BenchInstrumentation.class.getName(), found.getAttribute("android:name"));
        assertEquals(RuntimeEnvironment.getApplication().getPackageName(),
                found.getAttribute("android:targetPackage"));
    }
}
