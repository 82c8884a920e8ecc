/** The two renditions of `src/local/hls-media`, as its `make.sh` made them. */
export const renditions = {
  low: { resolution: '64x36', codecs: 'avc1.42c00a,mp4a.40.2' },
  high: { resolution: '128x72', codecs: 'avc1.42c00b,mp4a.40.2' },
} as const;

export type RenditionName = keyof typeof renditions;

export const renditionNames: readonly RenditionName[] = ['low', 'high'];
