package org.edgepipeline.app.isp;

import org.edgepipeline.app.errors.CancelledException;

/** Is told how far work has come, and can end it. */
public interface Progress {
    /**
     * Reports progress, after each tile.
     *
     * @param done number of finished tiles, from 0
     * @param total number of tiles; 0 while it is not known
     * @throws CancelledException if the work is to end now
     */
    void report(int done, int total) throws CancelledException;
}
