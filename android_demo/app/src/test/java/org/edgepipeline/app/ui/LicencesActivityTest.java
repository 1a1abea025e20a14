package org.edgepipeline.app.ui;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;
import static org.robolectric.Shadows.shadowOf;

import android.content.Intent;
import android.widget.ListView;
import android.widget.TextView;
import java.io.File;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Scanner;
import org.edgepipeline.app.R;
import org.edgepipeline.app.artifact.Golden;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;
import org.robolectric.shadows.ShadowPopupMenu;

/** Reads the licences of all parts on the screen, and compares them with those of the parts. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(qualifiers = "w411dp-h731dp-port-420dpi")
public final class LicencesActivityTest {
    /** Returns the list that the menu opens. */
    private static LicencesActivity list() {
        DevelopActivity develop = Robolectric.buildActivity(DevelopActivity.class).setup().get();
        develop.findViewById(R.id.more).performClick();
        assertTrue(ShadowPopupMenu.getLatestPopupMenu().getMenu()
                .performIdentifierAction(R.id.screen_licences, 0));
        return shown(shadowOf(develop).getNextStartedActivity());
    }

    private static LicencesActivity shown(Intent intent) {
        assertEquals(LicencesActivity.class.getName(), intent.getComponent().getClassName());
        return Robolectric.buildActivity(LicencesActivity.class, intent).setup().get();
    }

    /** Returns the text of a part as the screen shows it. */
    private static String text(int part) throws Exception {
        LicencesActivity list = list();
        ListView names = list.findViewById(R.id.list);
        names.performItemClick(null, part, part);
        LicencesActivity screen = shown(shadowOf(list).getNextStartedActivity());
        TextView title = screen.findViewById(R.id.title);
        assertEquals(((String) names.getItemAtPosition(part)).split("\n")[0],
                title.getText().toString());
        ListView paragraphs = screen.findViewById(R.id.list);
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < paragraphs.getCount(); i++) {
            text.append(paragraphs.getItemAtPosition(i)).append("\n\n");
        }
        if (part == 2) {
            Screens.save(screen, "licence-large-light");
        }
        return words(text.toString());
    }

    private static String words(String text) {
        return text.trim().replaceAll("\\s+", " ");
    }

    private static String words(File file) throws Exception {
        return words(new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8));
    }

    @Test
    public void everyPartIsListed() throws Exception {
        LicencesActivity list = list();
        assertEquals(5, ((ListView) list.findViewById(R.id.list)).getCount());
        Screens.save(list, "licences-large-light");
        list.findViewById(R.id.back).performClick();
        assertTrue(list.isFinishing());
    }

    @Test
    @Config(qualifiers = "w320dp-h480dp-port-night-hdpi")
    public void theListFitsASmallPhone() throws Exception {
        Screens.save(list(), "licences-small-dark");
    }

    @Test
    public void textsAreThoseOfTheParts() throws Exception {
        assertEquals(words(Golden.repository("LICENSE")), text(0));
        assertEquals(words(Golden.repository(
                "android_demo/libraries/target/aars/tensorflow-lite/LICENSE")), text(2));
        assertTrue(text(3).startsWith("ONNX Runtime MIT License Copyright (c) Microsoft"));
        try (InputStream notices = getClass().getResourceAsStream("/ThirdPartyNotices.txt")) {
            assertNotNull("ONNX Runtime's jar has no notices", notices);
            String own = new Scanner(notices, "UTF-8").useDelimiter("\\A").next();
            assertEquals(words(own), text(4));
        }
    }

    @Test
    public void theTrainingDataIsThatOfTheNetworks() throws Exception {
        String shown = text(1);
        for (String name : new String[] {"isp_default", "phi_unet_nuclei"}) {
            Map<?, ?> manifest = Golden.manifest(name);
            Map<?, ?> card = (Map<?, ?>) manifest.get("card");
            List<?> data = (List<?>) card.get("training_data");
            assertTrue(shown.contains(name) && !data.isEmpty());
            for (Object one : data) {
                assertTrue(shown, shown.contains((String) one));
            }
        }
    }
}
