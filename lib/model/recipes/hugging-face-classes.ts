import { type Fields, Unfit } from './reading.js';

// The image processors of classifiers in transformers 5: their defaults, and how they resize.

/** Height and width, or the shorter side. */
type Size = readonly [height: number, width: number] | number;

export interface ImageProcessor {
  /** The values of fields that a file leaves out, where they are not those of all classes. */
  defaults: Fields;
  /** True where a size that is one number is both sides, and else the shorter side. */
  defaultToSquare: boolean;
  /** Set for a class that makes another size of `size`, and may cut a square. Default: `size` as it is. */
  resized?: (size: Size, cropPct: () => number) => { resize: Size; cut: number | null };
  /** False for a class that does not look at `do_center_crop`. */
  crops: boolean;
  /** True for a class that looks at `rescale_offset` and `include_top`. */
  offsets: boolean;
}

const IMAGENET = {
  image_mean: [0.485, 0.456, 0.406],
  image_std: [0.229, 0.224, 0.225],
};

const STANDARD = {
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
};

const CLIP = {
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};

const BILINEAR = 2;
const BICUBIC = 3;

/** The defaults of all classes that have no other. */
export const COMMON: Fields = {
  do_resize: true,
  do_center_crop: false,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
};

const square = (side: number) => ({ height: side, width: side });

/** A class with the steps of all: resize, crop, rescale, normalize. */
function plain(defaultToSquare: boolean, defaults: Fields): ImageProcessor {
  return { defaults, defaultToSquare, crops: true, offsets: false };
}

/** CLIP and those that are preprocessed like it. */
const clip = plain(false, {
  size: { shortest_edge: 224 },
  resample: BICUBIC,
  do_center_crop: true,
  crop_size: square(224),
  ...CLIP,
});

const mobileNet = plain(false, {
  size: { shortest_edge: 256 },
  resample: BILINEAR,
  do_center_crop: true,
  crop_size: square(224),
  ...STANDARD,
});

/** Classes by name. Old names end in FeatureExtractor. */
export const CLASSES: Readonly<Record<string, ImageProcessor>> = {
  ViTImageProcessor: plain(true, { size: square(224), resample: BILINEAR, ...STANDARD }),
  DeiTImageProcessor: plain(true, {
    size: square(256),
    resample: BICUBIC,
    do_center_crop: true,
    crop_size: square(224),
    ...STANDARD,
  }),
  BeitImageProcessor: plain(true, {
    size: square(224),
    resample: BICUBIC,
    crop_size: square(224),
    ...STANDARD,
  }),
  BitImageProcessor: clip,
  CLIPImageProcessor: clip,
  ChineseCLIPImageProcessor: clip,
  BlipImageProcessor: plain(true, { size: square(384), resample: BICUBIC, ...CLIP }),
  SiglipImageProcessor: plain(false, { size: square(224), resample: BICUBIC, ...STANDARD }),
  PvtImageProcessor: plain(true, { size: square(224), resample: BICUBIC, ...IMAGENET }),
  MobileNetV1ImageProcessor: mobileNet,
  MobileNetV2ImageProcessor: mobileNet,
  MobileViTImageProcessor: plain(false, {
    size: { shortest_edge: 224 },
    resample: BICUBIC,
    do_center_crop: true,
    crop_size: square(256),
    do_flip_channel_order: true,
    do_normalize: false,
  }),
  SegformerImageProcessor: {
    defaults: { size: square(512), resample: BILINEAR, ...IMAGENET },
    defaultToSquare: true,
    crops: false,
    offsets: false,
  },
  ConvNextImageProcessor: {
    defaults: {
      size: { shortest_edge: 384 },
      resample: BICUBIC,
      crop_pct: 224 / 256,
      ...STANDARD,
    },
    defaultToSquare: false,
    // Large pictures are squashed, smaller ones are cut out of the middle.
    resized(size, cropPct) {
      if (typeof size !== 'number') throw new Unfit('size', 'has no shortest_edge, which it needs');
      if (size >= 384) return { resize: [size, size], cut: null };
      return { resize: Math.trunc(size / cropPct()), cut: size };
    },
    crops: true,
    offsets: false,
  },
  PoolFormerImageProcessor: {
    defaults: {
      size: { shortest_edge: 224 },
      resample: BICUBIC,
      do_center_crop: true,
      crop_size: square(224),
      crop_pct: 0.9,
      ...IMAGENET,
    },
    defaultToSquare: false,
    resized(size, cropPct) {
      const scaled = (side: number) => Math.trunc(side / cropPct());
      if (typeof size === 'number') return { resize: scaled(size), cut: null };
      const [height, width] = size;
      const resize: Size = height === width ? scaled(height) : [scaled(height), scaled(width)];
      return { resize, cut: null };
    },
    crops: true,
    offsets: false,
  },
  LevitImageProcessor: {
    defaults: {
      size: { shortest_edge: 224 },
      resample: BICUBIC,
      do_center_crop: true,
      crop_size: square(224),
      ...IMAGENET,
    },
    defaultToSquare: false,
    resized(size) {
      const resize = typeof size === 'number' ? Math.trunc((256 / 224) * size) : size;
      return { resize, cut: null };
    },
    crops: true,
    offsets: false,
  },
  EfficientNetImageProcessor: {
    defaults: {
      size: square(346),
      resample: BICUBIC,
      crop_size: square(289),
      rescale_offset: false,
      include_top: true,
      ...STANDARD,
    },
    defaultToSquare: true,
    crops: true,
    offsets: true,
  },
};
