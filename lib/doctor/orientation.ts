import { exifOrientation } from '../data/decode/exif.js';
import { type Sample, sourceOf } from '../data/samples.js';
import { sampleEvenly } from '../data/sizes.js';
import { readSource } from '../data/source.js';
import type { PixelPreprocessing } from '../model/preprocessing.js';
import { count, percent } from '../words.js';
import type { Topic } from './findings.js';

/** Pictures at most whose orientation is read. */
const READ = 1000;
/** Files that are read at the same time. */
const AT_ONCE = 8;

/** Names of the orientations, by EXIF's numbers. */
const TURNS: Readonly<Record<number, string>> = {
  2: 'mirrored',
  3: 'upside down',
  4: 'mirrored and upside down',
  5: 'mirrored and on its side',
  6: 'on its side',
  7: 'mirrored and on its side',
  8: 'on its side',
};

/** Finds pictures that lie turned in their files, as their EXIF says, where that is not applied. */
export async function checkOrientation(
  samples: readonly Sample[],
  { exif }: Pick<PixelPreprocessing, 'exif'>,
  signal: AbortSignal | undefined,
  topic: Topic,
): Promise<void> {
  const some = sampleEvenly(samples, READ);
  const turned: string[] = [];
  for (let first = 0; first < some.length; first += AT_ONCE) {
    signal?.throwIfAborted();
    const lines = some.slice(first, first + AT_ONCE).map(async (sample) => {
      const turn = TURNS[exifOrientation(await readSource(sourceOf(sample), { signal }))];
      return turn === undefined ? [] : [`${sample.path}: ${turn}`];
    });
    turned.push(...(await Promise.all(lines)).flat());
  }
  if (turned.length === 0) return;
  const part = some.length < samples.length ? 'a sample of ' : '';
  const share = `${turned.length} of ${part}${count(some.length, 'picture')} (${percent(turned.length / some.length)})`;
  const lie = turned.length === 1 ? 'lies turned in its file' : 'lie turned in their files';
  if (exif === 'apply') {
    topic.ok('exif', `${share} ${lie}, as EXIF says, and are seen upright.`, turned);
    return;
  }
  topic.warn(
    'exif',
    `${share} ${lie}, as EXIF says, and the network sees them so.`,
    'Set `exif` to apply (--exif apply) if the teacher was trained on pictures that were turned upright first.',
    turned,
  );
}
