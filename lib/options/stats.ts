import { z } from 'zod';
import type { DistillWarning } from '../warnings.js';
import {
  callback,
  execution,
  fields,
  pixelSteps,
  pixels,
  preprocessing,
  reports,
} from './fields.js';
import type { Expect, Holds } from './held.js';
import { metaOf, option } from './option.js';
import type { PixelOptions } from './preprocessing.js';

/** Options of `datasetStats()`. */
export interface DatasetStatsOptions extends PixelOptions {
  /** The side of the square centre crop, in pixels. Default 224. */
  imageSize?: number | undefined;
  /**
   * At a picture that does not decode, `'error'` ends the call, `'skip'` goes on without it, and `'truncate'` takes
   * what there is of one that is damaged or cut short, as Pillow does under `LOAD_TRUNCATED_IMAGES`, with a warning. Default
   * 'error'.
   */
  onBadImage?: 'error' | 'skip' | 'truncate' | undefined;
  /** The largest picture that is read, in pixels. Default: as in `distill()`, 178,956,970, and half of it for some kinds. */
  maxPixels?: number | undefined;
  /** Receives the warnings of pictures that are skipped, and of files that are passed over. Default: `process.emitWarning`. */
  onWarning?: ((warning: DistillWarning) => void) | undefined;
  /** Receives how many pictures of how many have been read. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Ends the work: the promise rejects with `ERR_ABORTED`. */
  signal?: AbortSignal | undefined;
}

export const datasetStatsOptions = z.strictObject({
  folder: option(fields.folder, {
    help: 'a dataset (its train/ is used), class folders, pictures, a manifest or an archive',
  }),
  ...pixelSteps,
  imageSize: option(pixels(1, 4096).optional(), metaOf(preprocessing.imageSize)),
  onBadImage: execution.onBadImage,
  maxPixels: execution.maxPixels,
  onWarning: reports.onWarning,
  onProgress: option(callback<(done: number, total: number) => void>().optional(), {
    synonyms: 'progress onEpoch progressCallback',
  }),
  signal: execution.signal,
});

export type _Held = Expect<
  Holds<DatasetStatsOptions & { folder: string }, typeof datasetStatsOptions>
>;

/** Options, and the folder, once they are checked and the defaults are in. */
export type CheckedDatasetStatsOptions = z.output<typeof datasetStatsOptions>;
