package org.edgepipeline.app.dng;

/** Numbers of the tags that the reader uses. Source: TIFF 6.0, TIFF/EP, and DNG 1.6. */
final class Tags {
    static final int SUBFILE_TYPE = 254;
    static final int WIDTH = 256;
    static final int HEIGHT = 257;
    static final int BITS = 258;
    static final int COMPRESSION = 259;
    static final int PHOTOMETRIC = 262;
    static final int MAKE = 271;
    static final int MODEL = 272;
    static final int STRIP_OFFSETS = 273;
    static final int ORIENTATION = 274;
    static final int SAMPLES = 277;
    static final int STRIP_ROWS = 278;
    static final int STRIP_BYTES = 279;
    static final int TILE_WIDTH = 322;
    static final int TILE_HEIGHT = 323;
    static final int TILE_OFFSETS = 324;
    static final int TILE_BYTES = 325;
    static final int DATE_TIME = 306;
    static final int CFA_CELL = 33421;
    static final int CFA_PATTERN = 33422;
    static final int EXPOSURE = 33434;
    static final int APERTURE = 33437;
    static final int EXIF = 34665;
    static final int ISO = 34855;
    static final int TAKEN = 36867;
    static final int DNG_VERSION = 50706;
    static final int LINEARIZATION = 50712;
    static final int BLACK_CELL = 50713;
    static final int BLACK = 50714;
    static final int BLACK_ACROSS = 50715;
    static final int BLACK_DOWN = 50716;
    static final int WHITE = 50717;
    static final int COLOR_MATRIX_1 = 50721;
    static final int COLOR_MATRIX_2 = 50722;
    static final int CALIBRATION_1 = 50723;
    static final int CALIBRATION_2 = 50724;
    static final int ANALOG_BALANCE = 50727;
    static final int NEUTRAL = 50728;
    static final int ILLUMINANT_1 = 50778;
    static final int ILLUMINANT_2 = 50779;
    static final int ACTIVE_AREA = 50829;
    static final int NOISE_PROFILE = 51041;

    static final int PHOTOMETRIC_CFA = 32803;
    static final int PHOTOMETRIC_YCBCR = 6;
    static final int PHOTOMETRIC_LINEAR = 34892;

    private Tags() {}
}
