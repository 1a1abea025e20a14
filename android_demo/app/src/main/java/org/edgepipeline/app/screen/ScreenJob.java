package org.edgepipeline.app.screen;

import android.os.Handler;
import android.os.Looper;
import org.edgepipeline.app.errors.AppException;
import org.edgepipeline.app.errors.CancelledException;

/**
 * Work in the background that outlives the screen that shows it.
 *
 * <p>The methods belong to the main thread, where the listener is called, except those that say
 * otherwise.
 */
public abstract class ScreenJob {
    /** How far a job has come. */
    public enum State {
        /** The thread works, or will. */
        RUNNING,
        /** The result is complete. */
        FINISHED,
        /** The person cancelled the work. */
        CANCELLED,
        /** A sentence says why there is no result. */
        FAILED
    }

    /** Is told when a job has changed. */
    public interface Listener {
        /** Reports that state, progress or results of the job have changed. */
        void onJobChanged();
    }

    /** A part of the work. */
    protected interface Task {
        /** Works, on any thread. */
        void run() throws AppException;
    }

    /** Is told how a part of the work ended. */
    protected interface End {
        /**
         * Reports the end.
         *
         * @param state any state except RUNNING
         * @param failure sentence of a failed job; empty otherwise
         */
        void at(State state, String failure);
    }

    private final Handler main = new Handler(Looper.getMainLooper());
    private Listener listener;
    private State state = State.RUNNING;
    private String failure = "";
    private int done;
    private int total;

    /** Sets the listener, which is told about later changes; null for none. */
    public final void setListener(Listener told) {
        listener = told;
    }

    /** Ends the work at its next step. */
    public abstract void cancel();

    /** Returns how far the job has come. */
    public final State state() {
        return state;
    }

    /** Returns whether the job still works. */
    public final boolean isRunning() {
        return state == State.RUNNING;
    }

    /** Returns the sentence of a failed job; empty otherwise. */
    public final String failure() {
        return failure;
    }

    /** Returns the number of finished steps. */
    public final int done() {
        return done;
    }

    /** Returns the number of steps; 0 while it is not known. */
    public final int total() {
        return total;
    }

    /** Works and reports how the work ended, on the thread that calls it. */
    protected static void attempt(String thing, Task task, End end) {
        try {
            task.run();
            end.at(State.FINISHED, "");
        } catch (CancelledException cancelled) {
            end.at(State.CANCELLED, "");
        } catch (AppException error) {
            end.at(State.FAILED, error.getMessage());
        } catch (OutOfMemoryError error) {
            end.at(State.FAILED, "The phone has too little free memory for " + thing
                    + "; close other apps and try again.");
        }
    }

    /** Returns the queue of the main thread. */
    protected final Handler main() {
        return main;
    }

    /** Changes the job on the main thread and tells the listener; any thread may call it. */
    protected final void post(Runnable change) {
        main.post(() -> {
            change.run();
            tell();
        });
    }

    /** Sets how far the job has come. */
    protected final void reach(State reached, String sentence) {
        state = reached;
        failure = sentence;
    }

    /** Sets the numbers of finished steps and of all. */
    protected final void reach(int finished, int all) {
        done = finished;
        total = all;
    }

    /** Tells the listener that the job has changed. */
    protected final void tell() {
        if (listener != null) {
            listener.onJobChanged();
        }
    }
}
