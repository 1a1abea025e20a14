#!/usr/bin/env bash
# Prepare the assets of the APK: prepare_assets.sh COMMAND...
#
# COMMAND runs edge-pipeline. Writes app/build/prepared/assets, from where both builds take it: the
# shipped network, compiled for LiteRT because that runtime's libraries are in every build of the
# app, and a capture. The artifact is compiled again only if the checkpoint has changed.
set -euo pipefail
demo=$(cd "$(dirname "$0")/.." && pwd)
assets=$demo/app/build/prepared/assets
checkpoint=$demo/../calibration/pretrained/isp_default/checkpoint.safetensors
artifact=$assets/artifacts/isp_default
hash=$(sha256sum "$checkpoint" | cut -d ' ' -f 1)

if ! grep -qs "$hash" "$artifact/manifest.json"; then
    mkdir -p "$assets/artifacts"
    # 256 x 256 packed pixels are the app's tiles: about 40 MB in the runtime.
    "$@" compile "$checkpoint" --backend litert --filters refolded --input 256x256 \
        -o "$artifact" --force
fi
mkdir -p "$assets/captures"
cp "$demo/../calibration/captures/colorchart.dng" "$assets/captures/"
