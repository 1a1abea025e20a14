#!/usr/bin/env bash
# Compile and link the app's resources for the Maven build: link_resources.sh TARGET
#
# Writes into TARGET: AndroidManifest.xml (with package and SDK versions), generated/ (R.java),
# resources.apk (for Robolectric, with the ONNX artifact that the host's runtime can run), and
# robolectric/ (where Robolectric finds all this).
set -euo pipefail
target=$1
demo=$(cd "$(dirname "$0")/.." && pwd)
main=$demo/app/src/main
framework=/usr/share/android-framework-res/framework-res.apk
package=org.edgepipeline.app

for tool in aapt2 "$framework"; do
    command -v "$tool" >/dev/null || [ -f "$tool" ] || {
        echo "error: $tool is missing; on Debian and Ubuntu: apt-get install aapt android-framework-res" >&2
        exit 1
    }
done
mkdir -p "$target/generated" "$target/compiled" "$target/robolectric/com/android/tools"

sed -e "s|<manifest |<manifest package=\"$package\" android:versionCode=\"1\" android:versionName=\"0.1\" |" \
    -e 's|<application$|<uses-sdk android:minSdkVersion="26" android:targetSdkVersion="35" />\n    <application|' \
    "$main/AndroidManifest.xml" >"$target/AndroidManifest.xml"

# The tests run the shipped artifacts as they are, in ONNX Runtime.
assets=$target/test-assets
rm -rf "$assets"
cp -r "$main/assets" "$assets"
mkdir -p "$assets/artifacts" "$assets/captures" "$assets/pictures"
for name in isp_default phi_unet_nuclei; do
    cp -r "$demo/../calibration/pretrained/$name/artifact" "$assets/artifacts/$name"
done
cp "$demo/../calibration/captures/colorchart.dng" "$assets/captures/"
cp "$demo/../calibration/pictures/nuclei-a6515d73.jpg" "$assets/pictures/nuclei.jpg"

aapt2 compile --dir "$main/res" -o "$target/compiled/resources.zip"
aapt2 link -I "$framework" --manifest "$target/AndroidManifest.xml" -A "$assets" \
    -0 .onnx -0 .tflite --java "$target/generated" --auto-add-overlay \
    -o "$target/resources.apk" "$target/compiled/resources.zip"

cat >"$target/robolectric/com/android/tools/test_config.properties" <<END
android_merged_manifest=$target/AndroidManifest.xml
android_resource_apk=$target/resources.apk
android_merged_assets=$assets
android_custom_package=$package
END
