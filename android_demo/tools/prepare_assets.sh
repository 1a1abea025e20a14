#!/usr/bin/env bash
# Prepare the assets of the APK: prepare_assets.sh COMMAND...
#
# COMMAND runs edge-pipeline. Writes app/build/prepared/assets, from where both builds take it: the
# shipped networks, compiled for LiteRT because that runtime's libraries are in every build of the
# app, a capture and a picture. An artifact is compiled again only if its checkpoint has changed.
set -euo pipefail
demo=$(cd "$(dirname "$0")/.." && pwd)
assets=$demo/app/build/prepared/assets
calibration=$demo/../calibration

# compiled CHECKPOINT_FOLDER OPTIONS...
compiled() {
    local name=$1 hash
    local checkpoint=$calibration/pretrained/$name/checkpoint.safetensors
    local artifact=$assets/artifacts/$name
    shift
    hash=$(sha256sum "$checkpoint" | cut -d ' ' -f 1)
    if ! grep -qs "$hash" "$artifact/manifest.json"; then
        mkdir -p "$assets/artifacts"
        "${command[@]}" compile "$checkpoint" --backend litert "$@" -o "$artifact" --force
    fi
}

command=("$@")
# 256 x 256 packed pixels are the app's tiles: about 40 MB in the runtime.
compiled isp_default --filters refolded --input 256x256
# A LiteRT program has fixed map sizes, so there is one method for each of these values.
compiled phi_unet_nuclei --phi 0.15,0.3,0.45,0.6
mkdir -p "$assets/captures" "$assets/pictures"
cp "$calibration/captures/colorchart.dng" "$assets/captures/"
cp "$calibration/pictures/nuclei-a6515d73.jpg" "$assets/pictures/nuclei.jpg"
