#!/usr/bin/env bash
# Makes the segments of this folder: two renditions of the same 8 seconds, four segments of 2 s each, real H.264 and
# AAC in MPEG-TS, small enough to ship. Run once; needs ffmpeg, which trollfix itself does not.
#
# A key frame at every cut (-g 50 at 25 fps, no scene cuts) makes each segment playable by itself. Both renditions
# have the same timestamps, so a player may switch between them at any segment. The files are named .mpegts because
# .ts would be TypeScript here; the origin serves them as .ts.
set -euo pipefail
cd "$(dirname "$0")"

make_rendition() { # name size video-bitrate
  ffmpeg -hide_banner -loglevel error -y \
    -f lavfi -i "testsrc2=size=$2:rate=25:duration=8" \
    -f lavfi -i "sine=frequency=440:sample_rate=16000:duration=8" \
    -map 0:v -map 1:a -c:v libx264 -profile:v baseline -pix_fmt yuv420p -preset veryslow -b:v "$3" -maxrate "$3" -bufsize "$3" \
    -g 50 -keyint_min 50 -sc_threshold 0 \
    -c:a aac -ar 16000 -ac 1 -b:a 16k \
    -f segment -segment_time 2 -segment_format mpegts -segment_format_options mpegts_flags=+resend_headers \
    "$1-%d.mpegts"
}

make_rendition low 64x36 20k
make_rendition high 128x72 60k
