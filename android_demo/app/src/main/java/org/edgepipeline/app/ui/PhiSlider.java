package org.edgepipeline.app.ui;

import android.app.Activity;
import android.content.Context;
import android.view.View;
import android.widget.SeekBar;
import android.widget.TextView;
import java.util.Locale;
import java.util.Map;
import org.edgepipeline.app.R;
import org.edgepipeline.app.artifact.Phi;

/** The slider for phi of a screen, and what the screen says about phi. */
final class PhiSlider {
    /** Is told about values that a person chose. */
    interface Listener {
        /** Reports a value with three decimals, which the artifact need not serve. */
        void onPhi(double value);
    }

    /** Steps of the slider, so that phi has three decimals. */
    private static final double STEPS = 1000;

    private final Activity screen;
    private final TextView label;
    private final TextView values;
    private final SeekBar slider;
    private Phi range;
    private double shown = Double.NaN;
    private boolean isShowing;
    private boolean isTouched;

    PhiSlider(Activity screen, Listener listener) {
        this.screen = screen;
        label = screen.findViewById(R.id.phi_label);
        values = screen.findViewById(R.id.phi_values);
        slider = screen.findViewById(R.id.phi);
        slider.setOnSeekBarChangeListener(new SeekBar.OnSeekBarChangeListener() {
            @Override
            public void onProgressChanged(SeekBar bar, int value, boolean fromUser) {
                if (!isShowing && range != null) {
                    listener.onPhi(Math.rint(range.low() * STEPS + value) / STEPS);
                }
            }

            @Override
            public void onStartTrackingTouch(SeekBar bar) {
                isTouched = true;
            }

            @Override
            public void onStopTrackingTouch(SeekBar bar) {
                isTouched = false;
                show(range, shown); // the value that the artifact serves
            }
        });
    }

    /**
     * Shows a value.
     *
     * @param served values that an artifact serves, or null while they are not known
     * @param value value that is served
     */
    void show(Phi served, double value) {
        range = served;
        shown = value;
        boolean isFree = served != null && served.isFree();
        screen.findViewById(R.id.phi_row).setVisibility(isFree ? View.VISIBLE : View.GONE);
        values.setVisibility(isFree ? View.VISIBLE : View.GONE);
        if (!isFree) {
            return;
        }
        label.setText(screen.getString(R.string.phi, value));
        values.setText(textOf(screen, served));
        if (!isTouched) {
            isShowing = true;
            slider.setMax((int) Math.rint((served.high() - served.low()) * STEPS));
            slider.setProgress((int) Math.rint((value - served.low()) * STEPS));
            isShowing = false;
        }
    }

    /** Returns a sentence about the values that an artifact serves. */
    static String textOf(Context context, Phi served) {
        if (served.compiled().size() == 1) {
            return context.getString(R.string.phi_range, served.low(), served.high());
        }
        StringBuilder list = new StringBuilder();
        for (double value : served.compiled()) {
            list.append(list.length() == 0 ? "" : ", ")
                    .append(String.format(Locale.getDefault(), "%.2f", value));
        }
        return context.getString(R.string.phi_values, served.compiled().size(), list);
    }

    /** Returns the cost of a program and the shares of its labels. */
    static String cost(Context context, double phi, long macs, double milliseconds,
            Map<String, Double> shares) {
        StringBuilder text = new StringBuilder();
        if (!Double.isNaN(phi)) {
            text.append(context.getString(R.string.phi, phi)).append(" · ");
        }
        text.append(context.getString(R.string.cost, macs / 1e6, milliseconds));
        for (Map.Entry<String, Double> share : shares.entrySet()) {
            text.append("\n").append(
                    context.getString(R.string.share, share.getKey(), 100 * share.getValue()));
        }
        return text.toString();
    }
}
