package org.edgepipeline.app.ui;

import android.app.Activity;
import android.content.Intent;
import android.os.Bundle;
import android.widget.ArrayAdapter;
import android.widget.ListView;
import android.widget.TextView;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.edgepipeline.app.R;

/** The screen with the licences of the app's parts: a list of them, or the text of one. */
public final class LicencesActivity extends Activity {
    /** Number of the part whose text is shown; none for the list. */
    private static final String PART = "part";
    /** Length of a line from which on its end does not end a sentence or a heading. */
    private static final int LEAST_PROSE = 50;
    private static final String[] FILES = {
        "apache-2.0.txt", "data.txt", "tensorflow-lite.txt", "onnx-runtime.txt",
        "onnx-runtime-notices.txt",
    };
    private static final int[] NAMES = {
        R.string.licence_own, R.string.licence_data, R.string.licence_tensorflow,
        R.string.licence_onnx, R.string.licence_onnx_parts,
    };

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.licences);
        findViewById(R.id.back).setOnClickListener(view -> finish());
        ListView list = findViewById(R.id.list);
        int part = getIntent().getIntExtra(PART, -1);
        if (part >= 0 && part < FILES.length) {
            TextView title = findViewById(R.id.title);
            title.setText(getString(NAMES[part]).split("\n")[0]);
            // Long texts are laid out paragraph by paragraph, as they become visible.
            list.setAdapter(new ArrayAdapter<String>(this, R.layout.paragraph, paragraphs(part)) {
                @Override
                public boolean isEnabled(int position) {
                    return false; // nothing happens at a touch
                }
            });
            return;
        }
        List<String> names = new ArrayList<>();
        for (int name : NAMES) {
            names.add(getString(name));
        }
        list.setAdapter(new ArrayAdapter<>(this, R.layout.licence, names));
        list.setOnItemClickListener((parent, view, number, id) -> startActivity(
                new Intent(this, LicencesActivity.class).putExtra(PART, number)));
    }

    /** Returns the paragraphs of a licence. */
    private List<String> paragraphs(int part) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        try (InputStream stream = getAssets().open("licences/" + FILES[part])) {
            byte[] bytes = new byte[1 << 14];
            for (int count = stream.read(bytes); count > 0; count = stream.read(bytes)) {
                content.write(bytes, 0, count);
            }
            List<String> paragraphs = new ArrayList<>();
            for (String one : content.toString("UTF-8").split("\n\\s*\n")) {
                paragraphs.add(joined(one.trim()));
            }
            return paragraphs;
        } catch (IOException error) {
            throw new IllegalStateException("the app contains its licences", error);
        }
    }

    /** Returns a paragraph without its line breaks if it is prose: lines of nearly equal length. */
    static String joined(String paragraph) {
        String[] lines = paragraph.split("\\s*\n\\s*");
        for (int i = 0; i < lines.length - 1; i++) {
            if (lines[i].length() < LEAST_PROSE) {
                return paragraph;
            }
        }
        return String.join(" ", lines);
    }
}
