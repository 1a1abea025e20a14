#!/usr/bin/env bash
# Build, sign and verify the APK: build_apk.sh TARGET ANDROID_JAR R8_JAR ONNXRUNTIME_JAR AARS
set -euo pipefail
target=$1 android=$2 r8=$3 onnxruntime=$4 aars=$5
demo=$(cd "$(dirname "$0")/.." && pwd)
assets=$demo/app/build/prepared/assets
apk=$target/edge-pipeline.apk
key=$demo/app/build/debug.keystore

for tool in aapt2 zipalign apksigner; do
    command -v "$tool" >/dev/null || {
        echo "error: $tool is missing; on Debian and Ubuntu: apt-get install aapt apksigner zipalign" >&2
        exit 1
    }
done
[ -d "$assets" ] || { echo "error: $assets is missing; run make android" >&2; exit 1; }

rm -rf "$target/apk" "$apk"
mkdir -p "$target/apk/lib"
(cd "$target/classes" && find . -name '*.class' | sed "s|^\.|$target/classes|") >"$target/classes.txt"
java -cp "$r8" com.android.tools.r8.D8 --release --min-api 26 --lib "$android" \
    --output "$target/apk" "$onnxruntime" "$target/../../libraries/target/libraries-1.jar" \
    @"$target/classes.txt"

for abi in arm64-v8a x86_64; do
    mkdir -p "$target/apk/lib/$abi"
    cp "$aars/tensorflow-lite/jni/$abi/"*.so "$target/apk/lib/$abi/"
done

aapt2 link -I /usr/share/android-framework-res/framework-res.apk \
    --manifest "$target/AndroidManifest.xml" -A "$assets" -A "$demo/app/src/main/assets" -0 .onnx -0 .tflite \
    --auto-add-overlay -o "$target/unaligned.apk" "$target/compiled/resources.zip"
(cd "$target/apk" && zip -qr "$target/unaligned.apk" ./*.dex lib)
zipalign -f -p 4 "$target/unaligned.apk" "$target/aligned.apk"

if [ ! -f "$key" ]; then
    keytool -genkeypair -keystore "$key" -storepass android -keypass android -alias debug \
        -keyalg RSA -keysize 2048 -validity 10000 -dname "CN=Android Debug" 2>/dev/null
fi
apksigner sign --ks "$key" --ks-pass pass:android --out "$apk" "$target/aligned.apk"
rm -f "$target/unaligned.apk" "$target/aligned.apk" "$apk.idsig"

apksigner verify --min-sdk-version 26 "$apk"
aapt dump badging "$apk" | grep -E '^(package|sdkVersion|targetSdkVersion|native-code|uses-permission)'
if command -v readelf >/dev/null; then
    for library in "$target"/apk/lib/*/*.so; do
        echo "${library#"$target"/apk/}: segments aligned to" \
            "$(readelf -lW "$library" | awk '$1 == "LOAD" {print $NF}' | sort -u | tr '\n' ' ')"
    done
fi
ls -l "$apk"
