package org.edgepipeline.app.artifact;

/** Conversion of IEEE 754 half precision, rounded to the nearest even number. */
final class HalfFloat {
    private HalfFloat() {}

    /** Returns the 16 bits of a number of at most 65504. */
    static short bits(float number) {
        int bits = Float.floatToRawIntBits(number);
        int sign = bits >>> 16 & 0x8000;
        float size = Math.abs(number);
        if (size < 0x1p-14f) { // subnormal: steps of 2^-24
            return (short) (sign | (int) Math.rint(size * 0x1p24f));
        }
        int rounded = (bits & 0x7FFFFFFF) + 0xFFF + (bits >>> 13 & 1);
        return (short) (sign | Math.min((rounded >>> 13) - (112 << 10), 0x7C00));
    }

    /** Returns the number of 16 bits. */
    static float value(short half) {
        int exponent = half >>> 10 & 0x1F;
        int fraction = half & 0x3FF;
        float size = exponent == 0
                ? fraction * 0x1p-24f
                : Math.scalb(1 + fraction / 1024f, exponent - 15);
        return half < 0 ? -size : size;
    }
}
